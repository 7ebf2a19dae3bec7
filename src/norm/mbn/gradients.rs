//! What MBN remembers of the newest batches' gradients, newest first.

use candle_core::{Result, Shape, Tensor};
use candle_nn::VarBuilder;

use crate::norm::length::{Extent, Length};
use crate::norm::ring::Ring;
use crate::norm::state::StateTensor;
use crate::ops;

pub(super) const GRADIENTS: [StateTensor; 3] = [
    StateTensor::training("grad_mean", 0.0),
    StateTensor::training("grad_cov", 0.0),
    StateTensor::training("grad_filled", 0.0),
];

/// The remembered means of g and of g x̂ per batch, two tensors of shape (capacity, C), and one of shape (capacity) that is
/// 1 where a slot is filled.
#[derive(Debug, Clone)]
pub(super) struct GradientMemory {
    ring: Ring<3>,
    length: Length,
}

impl GradientMemory {
    /// An empty memory, or the one in `vb`.
    pub fn new(features: usize, length: Length, vb: &VarBuilder) -> Result<Self> {
        let (means, filled) = (Shape::from((length.capacity(), features)), Shape::from(length.capacity()));
        Ok(Self { ring: Ring::new(GRADIENTS, [means.clone(), means, filled], vb)?, length })
    }

    /// How many batches like that one it pools.
    pub fn batches(&self, extent: Extent) -> usize {
        self.length.of(extent)
    }

    /// Adds the batch's means at age 0; returns the means pooled over the newest batches.
    pub fn push(&self, mean_g: &Tensor, mean_gx: &Tensor, extent: Extent) -> Result<(Tensor, Tensor)> {
        let wanted = self.length.of(extent);
        let one = Tensor::ones(1, mean_g.dtype(), mean_g.device())?;
        self.ring.push(&[mean_g.clone(), mean_gx.clone(), one], wanted)?;
        let batches = wanted.min(self.ring.filled()?);
        let weights = self.length.weights(batches, extent);
        let [mean_g, mean_gx, _] = self.ring.slots(0, batches)?;
        Ok((ops::weighted_rows(&mean_g, &weights)?, ops::weighted_rows(&mean_gx, &weights)?))
    }
}
