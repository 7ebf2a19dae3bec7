//! What MBN remembers of the newest batches' gradients, newest first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use candle_core::{Result, Tensor, Var};
use candle_nn::VarBuilder;

use crate::norm::length::{Extent, Length};
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
    mean_g: Var,
    mean_gx: Var,
    filled: Var,
    known: Arc<AtomicUsize>,
    length: Length,
}

impl GradientMemory {
    /// An empty memory, or the one in `vb`.
    pub fn new(features: usize, length: Length, vb: &VarBuilder) -> Result<Self> {
        let ([mean_g, mean_gx, filled], shape) = (GRADIENTS, (length.capacity(), features));
        let (mean_g, mean_gx) = (mean_g.create(shape, vb)?, mean_gx.create(shape, vb)?);
        Ok(Self { mean_g, mean_gx, filled: filled.create(length.capacity(), vb)?, known: Arc::default(), length })
    }

    /// How many batches like that one it pools.
    pub fn batches(&self, extent: Extent) -> usize {
        self.length.of(extent)
    }

    /// The batch's means become age 0; those pooled over the newest batches, like that one.
    pub fn push(&self, mean_g: &Tensor, mean_gx: &Tensor, extent: Extent) -> Result<(Tensor, Tensor)> {
        let wanted = self.length.of(extent);
        let filled = self.filled()?;
        let batches = wanted.min(filled + 1);
        if batches != filled {
            ops::mark_rows(&self.filled, batches)?;
            self.known.store(batches, Ordering::Relaxed);
        }
        let weights = self.length.weights(batches, extent);
        let pooled = |rows: &Var, newest: &Tensor| {
            ops::push_row(rows, newest, wanted, 0.0)?;
            ops::weighted_rows(&rows.as_detached_tensor(), &weights)
        };
        Ok((pooled(&self.mean_g, mean_g)?, pooled(&self.mean_gx, mean_gx)?))
    }

    /// Slots filled so far, read off the tensor as the forward memory's are.
    fn filled(&self) -> Result<usize> {
        if self.filled.device().is_cpu() || self.known.load(Ordering::Relaxed) == 0 {
            self.known.store(ops::filled_rows(&self.filled.as_detached_tensor(), 0.0)?, Ordering::Relaxed);
        }
        Ok(self.known.load(Ordering::Relaxed))
    }
}
