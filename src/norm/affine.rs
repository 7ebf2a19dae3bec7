//! What every normalizer ends with: y = gamma x̂ + beta, and the checks every one begins with.

use std::sync::{Arc, Mutex};

use candle_core::{Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};

use super::{Coefficients, Gradient, Moments, NormError};
use crate::ops::ChannelMap;

/// Scale and shift per channel, `weight` and `bias`, with the layer's name for messages.
#[derive(Debug, Clone)]
pub struct Affine {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
    layer: String,
    seen: Arc<Mutex<Option<Moments>>>,
}

/// What is subtracted from g in dx = gamma/s [g - mean_g - mean_gx (x - center)/s].
pub struct Projection {
    /// An estimate of the mean of g.
    pub mean_g: Tensor,
    /// An estimate of the mean of g x̂.
    pub mean_gx: Tensor,
    /// The mean in dv/dx, which is proportional to x - center.
    pub center: Tensor,
}

impl Affine {
    /// `weight` (initially 1) and `bias` (initially 0) of shape (features) from `vb`.
    pub fn new(features: usize, eps: f64, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(features, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(features, "bias", Init::Const(0.0))?,
            eps,
            layer: vb.prefix(),
            seen: Arc::default(),
        })
    }

    /// A constant scale of 1 and shift of 0, for a layer that scales and shifts by itself.
    pub(super) fn unit(features: usize, eps: f64, vb: &VarBuilder) -> Result<Self> {
        let weight = Tensor::ones(features, vb.dtype(), vb.device())?;
        Ok(Self { bias: weight.zeros_like()?, weight, eps, layer: vb.prefix(), seen: Arc::default() })
    }

    /// gamma and beta, attached to the graph.
    pub fn parameters(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }

    /// gamma, detached.
    pub fn gamma(&self) -> Tensor {
        self.weight.detach()
    }

    /// beta, detached.
    pub fn beta(&self) -> Tensor {
        self.bias.detach()
    }

    /// The layer's path in the network.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// What the last pass that looks at each image by itself saw, (N,C): in [`super::Pass::Observe`] the images' moments as
    /// [`super::Norm::inference_form`] returns them, in [`super::Pass::Weighed`] the statistics that normalized them.
    pub fn seen(&self) -> Option<Moments> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    pub(super) fn see(&self, moments: Moments) {
        *self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(moments);
    }

    /// 1/s = 1/sqrt(var + eps).
    pub fn scale(&self, var: &Tensor) -> Result<Tensor> {
        (var + self.eps)?.sqrt()?.recip()
    }

    /// gamma x̂ + beta with x̂ = (x - mean)/s and statistics per channel (constants may also be per image and channel, where
    /// nothing is differentiated). `count` is the number of values per channel.
    ///
    /// `project` is given the batch's means of g and of g x̂, and returns the terms that the gradient subtracts; none for
    /// statistics that are constants.
    pub fn normalized(
        &self,
        moments: &Moments,
        count: usize,
        project: impl Fn(Tensor, Tensor) -> Result<Option<Projection>> + Send + Sync + 'static,
    ) -> Result<Coefficients> {
        let scale = self.scale(&moments.var)?;
        let slope = scale.broadcast_mul(&self.gamma())?;
        let mean = moments.mean.clone();
        let map = ChannelMap { mean: mean.clone(), slope: slope.clone(), shift: self.beta() };
        Ok(Coefficients::new(map, move |sums| {
            let along = (&sums.gx * &scale)?;
            let parameters = vec![along.clone(), sums.g.clone()];
            let share = 1.0 / count as f64;
            let Some(by) = project(sums.g.affine(share, 0.0)?, along.affine(share, 0.0)?)? else {
                let zero = slope.zeros_like()?;
                return Ok(Gradient { b: zero.clone(), center: mean.clone(), d: zero, parameters });
            };
            let b = ((&slope * &scale)? * by.mean_gx)?.neg()?;
            Ok(Gradient { b, center: by.center, d: (&slope * by.mean_g)?.neg()?, parameters })
        }))
    }

    /// [`Self::normalized`] by the batch's own statistics, as in BN.
    pub fn projected(&self, batch: &Moments, count: usize) -> Result<Coefficients> {
        let center = batch.mean.clone();
        self.normalized(batch, count, move |mean_g, mean_gx| {
            Ok(Some(Projection { mean_g, mean_gx, center: center.clone() }))
        })
    }

    /// [`Self::normalized`] by a mix of the batch's own statistics, with weight `share` per channel, and constants; dv/dx is
    /// proportional to x - `center`.
    pub fn shared(&self, moments: &Moments, count: usize, center: Tensor, share: Tensor) -> Result<Coefficients> {
        self.normalized(moments, count, move |mean_g, mean_gx| {
            let (mean_g, mean_gx) = ((mean_g * &share)?, (mean_gx * &share)?);
            Ok(Some(Projection { mean_g, mean_gx, center: center.clone() }))
        })
    }

    /// [`Self::normalized`] by constants, (C), or (N,C) where nothing is differentiated.
    pub fn constant(&self, moments: &Moments) -> Result<Coefficients> {
        self.normalized(moments, 1, |_, _| Ok(None))
    }

    /// Values per channel of an input.
    ///
    /// # Errors
    /// A shape other than (N,C) or (N,C,H,W), another number of channels, or an empty input.
    pub fn count(&self, x: &Shape) -> Result<usize> {
        let features = self.weight.elem_count();
        let channels = if matches!(x.rank(), 2 | 4) { x.dims()[1] } else { 0 };
        if channels != features || x.elem_count() == 0 {
            return Err(NormError::Shape { layer: self.layer.clone(), features, shape: x.clone() }.into());
        }
        Ok(x.elem_count() / features)
    }

    /// Refuses a batch with one value per channel.
    ///
    /// # Errors
    /// [`NormError::OneValue`].
    pub fn refuse_one_value(&self, x: &Shape, count: usize) -> Result<()> {
        if count > 1 {
            return Ok(());
        }
        Err(NormError::OneValue { layer: self.layer.clone(), shape: x.clone() }.into())
    }

    /// The error for a parameter value, `choice`, that is undefined for one value per channel.
    pub fn undefined(&self, x: &Shape, choice: &'static str, instead: &'static str) -> candle_core::Error {
        NormError::Undefined { layer: self.layer.clone(), shape: x.clone(), choice, instead }.into()
    }
}
