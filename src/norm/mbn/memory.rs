//! What MBN remembers of the newest batches' statistics, newest first.

use candle_core::{Result, Shape, Tensor};
use candle_nn::VarBuilder;

use super::config::PooledVariance;
use crate::norm::Moments;
use crate::norm::length::{Extent, Length};
use crate::norm::ring::Ring;
use crate::norm::state::StateTensor;
use crate::ops;

/// A negative variance marks an empty slot.
pub(super) const MEMORY: [StateTensor; 2] =
    [StateTensor::training("memory_mean", 0.0), StateTensor::training("memory_var", -1.0)];

/// The remembered (mean, biased variance) per batch, two tensors of shape (capacity, C).
#[derive(Debug, Clone)]
pub(super) struct Memory {
    ring: Ring<2>,
    length: Length,
    pool: PooledVariance,
}

/// The pooled statistics.
pub(super) struct PooledMoments {
    pub moments: Moments,
    /// a_0, the weight of the newest batch among those pooled.
    pub newest: f64,
    /// Batches pooled.
    pub batches: usize,
}

impl Memory {
    /// An empty memory, or the one in `vb`.
    pub fn new(features: usize, length: Length, pool: PooledVariance, vb: &VarBuilder) -> Result<Self> {
        let shape = Shape::from((length.capacity(), features));
        Ok(Self { ring: Ring::new(MEMORY, [shape.clone(), shape], vb)?, length, pool })
    }

    /// How many batches like that one it pools.
    pub fn batches(&self, extent: Extent) -> usize {
        self.length.of(extent)
    }

    /// Adds the batch, one of the `parts` of an update, at age 0. Keeps as many batches as refreshes of that update will pool.
    pub fn push(&self, batch: &Moments, extent: Extent, parts: usize) -> Result<()> {
        self.ring.push(&rows(batch), self.length.of(extent) + parts - 1)
    }

    /// Replaces the statistics of the batch of that age.
    pub fn replace(&self, age: usize, batch: &Moments, layer: &str) -> Result<()> {
        self.ring.replace(age, &rows(batch), layer)
    }

    /// Pools the batches of that age and older: what the training pass of that batch pools.
    pub fn pooled(&self, age: usize, extent: Extent, layer: &str) -> Result<PooledMoments> {
        let remembered = self.ring.require(age, layer)?;
        self.combine(&self.ring.slots(age, self.length.of(extent).min(remembered - age))?, extent)
    }

    /// Pools with `batch` in the place of the newest, without remembering it.
    pub fn pooled_with(&self, batch: &Moments, extent: Extent, layer: &str) -> Result<PooledMoments> {
        let remembered = self.ring.require(0, layer)?;
        let [means, vars] = self.ring.slots(1, self.length.of(extent).min(remembered) - 1)?;
        let join = |newest: &Tensor, older: Tensor| match older.dim(0)? {
            0 => newest.unsqueeze(0),
            _ => Tensor::cat(&[newest.unsqueeze(0)?, older], 0),
        };
        self.combine(&[join(&batch.mean, means)?, join(&batch.var, vars)?], extent)
    }

    fn combine(&self, [means, vars]: &[Tensor; 2], extent: Extent) -> Result<PooledMoments> {
        let batches = means.dim(0)?;
        let weights = self.length.weights(batches, extent);
        let moments = ops::pooled_moments(means, vars, &weights, self.pool == PooledVariance::Total)?;
        Ok(PooledMoments { moments, newest: weights[0], batches })
    }
}

fn rows(batch: &Moments) -> [Tensor; 2] {
    [batch.mean.clone(), batch.var.clone()]
}
