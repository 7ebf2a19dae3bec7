//! The interface between a normalizer and the code that runs it: from its input's moments to y = slope (x - mean) + shift, and
//! from two sums of the backward pass to dx = slope g + b (x - center) + d. The formulas in between are the normalizer's own,
//! on small tensors, (C) or (N,C), the same for every device.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor};

use super::Call;
use super::length::Extent;
use crate::ops::{ChannelMap, Moments, Sums};

/// What [`super::Norm::coefficients`] may use.
pub struct Input<'a> {
    /// The pass and the training progress.
    pub call: Call,
    /// The input's shape, (N,C,H,W) or (N,C).
    pub shape: &'a Shape,
    /// Its moments, at the normalizer's granularity, in the passes that observe them.
    pub moments: Option<Moments>,
    /// The layer that produced the input, where known.
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

/// The convolution or linear layer whose output is normalized.
pub trait Producer {
    /// Its weight as a matrix, (out, in·kh·kw), detached; a bias is one more column, the weight of a constant input of 1.
    fn weight(&self) -> Result<Tensor>;

    /// The mean input patch over images and positions, (in·kh·kw), with a 1 for a bias: the derivative of each output's mean
    /// with respect to its row.
    fn patch_mean(&self) -> Result<Tensor>;

    /// The mean over images and positions of each output times the input patch, (out, in·kh·kw): half the derivative of each
    /// output's mean square with respect to its row.
    fn patch_correlation(&self) -> Result<Tensor>;
}

/// y = slope (x - mean) + shift, and how gradients flow through it.
#[derive(Clone)]
pub struct Coefficients {
    /// The map.
    pub map: ChannelMap,
    gradient: Arc<Backward>,
}

/// From sums of the backward pass to the rest of the gradient.
type Backward = dyn Fn(&Sums) -> Result<Gradient> + Send + Sync;

impl Coefficients {
    /// A map and its gradient rule, which is called once per training pass and may update the layer's state.
    pub fn new(map: ChannelMap, gradient: impl Fn(&Sums) -> Result<Gradient> + Send + Sync + 'static) -> Self {
        Self { map, gradient: Arc::new(gradient) }
    }

    /// The rest of dx and the gradients of the normalizer's parameters, from sums at the normalizer's granularity.
    pub fn gradient(&self, sums: &Sums) -> Result<Gradient> {
        (self.gradient)(sums)
    }
}

/// dx = slope g + b (x - center) + d, (C) or (N,C) each.
pub struct Gradient {
    /// The coefficient of x - center.
    pub b: Tensor,
    /// What is subtracted from the input.
    pub center: Tensor,
    /// A constant.
    pub d: Tensor,
    /// Gradients of [`super::Norm::parameters`], in their order.
    pub parameters: Vec<Tensor>,
}
