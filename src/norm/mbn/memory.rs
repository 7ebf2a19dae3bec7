//! What MBN remembers of the newest batches' statistics, newest first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{Result, Tensor, Var};
use candle_nn::VarBuilder;

use super::config::Pool;
use crate::norm::length::{Extent, Length};
use crate::norm::state::StateTensor;
use crate::norm::{Moments, NormError};
use crate::ops;

/// Marks a slot that no batch has filled yet: a variance that cannot be.
const EMPTY: f64 = -1.0;

pub(super) const MEMORY: [StateTensor; 2] =
    [StateTensor::training("memory_mean", 0.0), StateTensor::training("memory_var", EMPTY)];

/// The remembered (mean, biased variance) per batch, two tensors of shape (capacity, C).
#[derive(Debug, Clone)]
pub(super) struct Memory {
    mean: Var,
    var: Var,
    length: Length,
    pool: Pool,
    /// What the newest update's batches pushed out, newest first: a refresh still pools it.
    forgotten: Arc<Mutex<VecDeque<Moments>>>,
    filled: Arc<AtomicUsize>,
}

/// The pooled statistics.
pub(super) struct Pooled {
    pub moments: Moments,
    /// a_0, the weight of the newest batch among those pooled.
    pub newest: f64,
    /// Batches pooled.
    pub batches: usize,
}

impl Memory {
    /// An empty memory, or the one in `vb`.
    pub fn new(features: usize, length: Length, pool: Pool, vb: &VarBuilder) -> Result<Self> {
        let [mean, var] = MEMORY;
        let shape = (length.capacity(), features);
        let (mean, var) = (mean.create(shape, vb)?, var.create(shape, vb)?);
        Ok(Self { mean, var, length, pool, forgotten: Arc::default(), filled: Arc::default() })
    }

    /// How many batches like that one it pools.
    pub fn batches(&self, extent: Extent) -> usize {
        self.length.of(extent)
    }

    /// Slots filled so far: on the CPU read off the tensor each time, since a checkpoint may be loaded into it any time; on
    /// a device, which would have to be waited for, at first.
    fn filled(&self) -> Result<usize> {
        if self.var.device().is_cpu() || self.filled.load(Ordering::Relaxed) == 0 {
            self.filled.store(ops::filled_rows(&self.var.as_detached_tensor(), EMPTY)?, Ordering::Relaxed);
        }
        Ok(self.filled.load(Ordering::Relaxed))
    }

    /// The batch, of so many images and one of the `parts` of an update, becomes age 0; what its training pass pools. As
    /// many are kept as refreshes of that update will pool.
    pub fn push(&self, batch: &Moments, extent: Extent, parts: usize) -> Result<Pooled> {
        let (capacity, kept) = (self.length.capacity(), self.length.of(extent) + parts - 1);
        let filled = self.filled()?;
        if kept > capacity && filled == capacity {
            let oldest = self.slots(capacity - 1, 1)?.copy()?;
            let mut forgotten = self.forgotten();
            forgotten.push_front(oldest);
            forgotten.truncate(kept - capacity);
        }
        let filled = (filled + 1).min(kept).min(capacity);
        self.filled.store(filled, Ordering::Relaxed);
        let batches = self.length.of(extent).min(filled);
        ops::push_row(&self.mean, &batch.mean, kept, 0.0)?;
        ops::push_row(&self.var, &batch.var, kept, EMPTY)?;
        self.combine(&self.slots(0, batches)?, extent)
    }

    /// Replaces the statistics of the batch of that age.
    pub fn replace(&self, age: usize, batch: &Moments, layer: &str) -> Result<()> {
        self.require(age, layer)?;
        if let Some(beyond) = age.checked_sub(self.length.capacity()) {
            let row = Moments { mean: batch.mean.unsqueeze(0)?, var: batch.var.unsqueeze(0)? };
            self.forgotten()[beyond] = row;
            return Ok(());
        }
        self.mean.as_detached_tensor().slice_set(&batch.mean.unsqueeze(0)?.contiguous()?, 0, age)?;
        self.var.as_detached_tensor().slice_set(&batch.var.unsqueeze(0)?.contiguous()?, 0, age)
    }

    /// Pools the batches of that age and older: what the training pass of that batchpools.
    pub fn pooled(&self, age: usize, extent: Extent, layer: &str) -> Result<Pooled> {
        let remembered = self.require(age, layer)?;
        self.combine(&self.slots(age, self.length.of(extent).min(remembered - age))?, extent)
    }

    /// Pools with `batch` in the place of the newest, without remembering it.
    pub fn pooled_with(&self, batch: &Moments, extent: Extent, layer: &str) -> Result<Pooled> {
        let remembered = self.require(0, layer)?;
        let older = self.slots(1, self.length.of(extent).min(remembered) - 1)?;
        let join = |newest: &Tensor, older: &Tensor| Tensor::cat(&[&newest.unsqueeze(0)?, older], 0);
        let slots = match older.mean.dim(0)? {
            0 => Moments { mean: batch.mean.unsqueeze(0)?, var: batch.var.unsqueeze(0)? },
            _ => Moments { mean: join(&batch.mean, &older.mean)?, var: join(&batch.var, &older.var)? },
        };
        self.combine(&slots, extent)
    }

    /// Some slots, (count, C), forgotten ones among them.
    fn slots(&self, first: usize, count: usize) -> Result<Moments> {
        let capacity = self.length.capacity();
        let kept = (first + count).min(capacity).saturating_sub(first);
        let rows = |var: &Var| var.as_detached_tensor().narrow(0, first.min(capacity - 1), kept);
        let (mut means, mut vars) = (vec![rows(&self.mean)?], vec![rows(&self.var)?]);
        if kept == count {
            return Ok(Moments { mean: means.remove(0), var: vars.remove(0) });
        }
        for oldest in self.forgotten().iter().skip((first + kept).saturating_sub(capacity)).take(count - kept) {
            means.push(oldest.mean.clone());
            vars.push(oldest.var.clone());
        }
        let join = |rows: &[Tensor]| Tensor::cat(&rows[usize::from(kept == 0)..], 0);
        Ok(Moments { mean: join(&means)?, var: join(&vars)? })
    }

    fn forgotten(&self) -> MutexGuard<'_, VecDeque<Moments>> {
        self.forgotten.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn combine(&self, slots: &Moments, extent: Extent) -> Result<Pooled> {
        let batches = slots.mean.dim(0)?;
        let weights = self.length.weights(batches, extent);
        let moments = ops::pooled_moments(&slots.mean, &slots.var, &weights, self.pool == Pool::Total)?;
        Ok(Pooled { moments, newest: weights[0], batches })
    }

    /// How many batches there are, that of that age among them.
    fn require(&self, age: usize, layer: &str) -> Result<usize> {
        let filled = self.filled()?;
        let remembered = if filled == self.length.capacity() { filled + self.forgotten().len() } else { filled };
        if age < remembered {
            return Ok(remembered);
        }
        Err(NormError::NothingToRefresh { layer: layer.into(), age, remembered }.into())
    }
}
