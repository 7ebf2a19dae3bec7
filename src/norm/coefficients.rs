//! What a normalizer is to whoever computes: from its input's moments to y = slope (x - mean) + shift, and from two sums of
//! the backward pass to dx = slope g + b (x - center) + d. The formulas between work on small tensors, (C) or (N,C), and
//! stand in the normalizer's own file, once for every device and way to compute.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor};

use super::Call;
use super::length::Extent;
use crate::ops::{Linear, Moments, Sums};

/// What [`super::Norm::coefficients`] may use.
pub struct Input<'a> {
    /// The pass, and when it is made.
    pub call: Call,
    /// The input's shape, (N,C,H,W) or (N,C).
    pub shape: &'a Shape,
    /// Its moments, at the normalizer's granularity, in the passes that observe them.
    pub moments: Option<Moments>,
    /// What made the input, where that is known.
    pub producer: Option<&'a dyn Producer>,
}

impl Input<'_> {
    /// Images in the batch.
    pub fn images(&self) -> usize {
        self.shape.dims()[0]
    }

    pub(super) fn extent(&self) -> Extent {
        Extent { images: self.images(), positions: self.count() / self.images() }
    }

    /// The moments, in a pass that observes them.
    pub(super) fn own(&self, who: &str) -> Result<&Moments> {
        let missing = || candle_core::Error::Msg(format!("{who} needs its input's moments"));
        self.moments.as_ref().ok_or_else(missing)
    }

    /// Values per channel, N·H·W.
    pub fn count(&self) -> usize {
        self.shape.elem_count() / self.shape.dims()[1]
    }
}

/// The convolution or linear map whose result is normalized.
pub trait Producer {
    /// Its weight in rows, (out, in·kh·kw), detached; a bias is the weight of a 1 behind what is multiplied.
    fn weight(&self) -> Result<Tensor>;

    /// The mean over images and positions of what a row of the weight is multiplied with, (in·kh·kw): the derivative of
    /// each output's mean with respect to its row.
    fn patch_mean(&self) -> Result<Tensor>;

    /// The mean over images and positions of an output times what its row is multiplied with, (out, in·kh·kw): half the
    /// derivative of each output's mean square with respect to its row.
    fn patch_correlation(&self) -> Result<Tensor>;
}

/// y = slope (x - mean) + shift, and how gradients flow through it.
#[derive(Clone)]
pub struct Coefficients {
    /// The map.
    pub map: Linear,
    gradient: Arc<Backward>,
}

/// From sums of the backward pass to the rest of the gradient.
type Backward = dyn Fn(&Sums) -> Result<Gradient> + Send + Sync;

impl Coefficients {
    /// A map with the rule of its gradient, which is asked once per training pass and may change what is remembered.
    pub fn new(map: Linear, gradient: impl Fn(&Sums) -> Result<Gradient> + Send + Sync + 'static) -> Self {
        Self { map, gradient: Arc::new(gradient) }
    }

    /// The rest of dx, and the gradients of the normalizer's parameters, given sums at the normalizer's granularity.
    pub fn gradient(&self, sums: &Sums) -> Result<Gradient> {
        (self.gradient)(sums)
    }
}

/// dx = slope g + b (x - center) + d, (C) or (N,C) each.
pub struct Gradient {
    /// The share of the input.
    pub b: Tensor,
    /// What is subtracted from the input.
    pub center: Tensor,
    /// A constant.
    pub d: Tensor,
    /// Gradients of [`super::Norm::parameters`], in their order.
    pub parameters: Vec<Tensor>,
}
