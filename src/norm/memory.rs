//! What MBN remembers of the newest batches, newest first: their statistics, and the two means of their gradients.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{Result, Tensor, Var};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::state::StateTensor;
use super::{Moments, NormError};
use crate::ops;

/// What the pooled variance is made of; a_i are the weights, mu the pooled mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// v = sum a_i v_i
    Mean,
    /// v = sum a_i (v_i + (mu_i - mu)²), the law of total variance
    Total,
}

/// How far a memory goes back, and how fast what it holds fades.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Length {
    reach: Reach,
    /// Weight relative to the next newer batch (image, if the reach counts those); none for [`FADED`] at the far end.
    decay: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reach {
    Batches(usize),
    Images(usize),
}

/// The weight, relative to the newest, that a batch just beyond the memory would have where no decay is given.
const FADED: f64 = 0.25;

impl Length {
    /// So many batches; a decay of 0 is none given.
    pub fn batches(size: usize, decay: f64) -> Self {
        Self { reach: Reach::Batches(size), decay: Some(decay).filter(|d| *d > 0.0) }
    }

    /// As many batches as hold so many images, at least one; a decay of 0 is none given.
    pub fn images(samples: usize, decay: f64) -> Self {
        Self { reach: Reach::Images(samples), decay: Some(decay).filter(|d| *d > 0.0) }
    }

    /// The most batches it can be.
    pub fn capacity(&self) -> usize {
        match self.reach {
            Reach::Batches(count) | Reach::Images(count) => count,
        }
    }

    /// Batches, for batches of that many images.
    pub fn of(&self, images: usize) -> usize {
        match self.reach {
            Reach::Batches(size) => size,
            Reach::Images(samples) => ((samples as f64 / images as f64).round() as usize).max(1),
        }
    }

    /// a_i, summing to 1, of that many batches of so many images.
    pub fn weights(&self, batches: usize, images: usize) -> Vec<f64> {
        let decay = match (self.reach, self.decay) {
            (Reach::Batches(_), Some(decay)) => decay,
            (Reach::Images(_), Some(decay)) => decay.powf(images as f64),
            (_, None) => FADED.powf(1.0 / self.of(images) as f64),
        };
        let mut weights: Vec<f64> = std::iter::successors(Some(1.0), |w| Some(w * decay)).take(batches).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        weights
    }
}

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

    /// How many batches of so many images it pools.
    pub fn batches(&self, images: usize) -> usize {
        self.length.of(images)
    }

    /// Slots filled so far: on the CPU read off the tensor each time, since a checkpoint may be loaded into it any time; on
    /// a device, which would have to be waited for, until all are.
    fn filled(&self) -> Result<usize> {
        let capacity = self.length.capacity();
        if self.var.device().is_cpu() || self.filled.load(Ordering::Relaxed) < capacity {
            self.filled.store(ops::filled_rows(&self.var.as_detached_tensor(), EMPTY)?, Ordering::Relaxed);
        }
        Ok(self.filled.load(Ordering::Relaxed))
    }

    /// The batch, one of the `parts` of an update, becomes age 0.
    pub fn push(&self, batch: &Moments, parts: usize) -> Result<()> {
        if parts > 1 && self.filled()? == self.length.capacity() {
            let oldest = self.slots(self.length.capacity() - 1, 1)?.copy()?;
            let mut forgotten = self.forgotten.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            forgotten.push_front(oldest);
            forgotten.truncate(parts - 1);
        }
        ops::push_row(&self.mean, &batch.mean)?;
        ops::push_row(&self.var, &batch.var)
    }

    /// Replaces the statistics of the batch of that age.
    pub fn replace(&self, age: usize, batch: &Moments, layer: &str) -> Result<()> {
        self.require(age, self.filled()?, layer)?;
        self.mean.as_detached_tensor().slice_set(&batch.mean.unsqueeze(0)?.contiguous()?, 0, age)?;
        self.var.as_detached_tensor().slice_set(&batch.var.unsqueeze(0)?.contiguous()?, 0, age)
    }

    /// Pools the batches of that age and older: what the training pass of that batch, of so many images, pools.
    pub fn pooled(&self, age: usize, images: usize, layer: &str) -> Result<Pooled> {
        let filled = self.filled()?;
        self.require(age, filled, layer)?;
        let wanted = self.length.of(images);
        let mut slots = self.slots(age, wanted.min(filled - age))?;
        let forgotten = self.forgotten.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for oldest in forgotten.iter().take(wanted.saturating_sub(filled - age)) {
            let join = |a: &Tensor, b: &Tensor| Tensor::cat(&[a, b], 0);
            slots = Moments { mean: join(&slots.mean, &oldest.mean)?, var: join(&slots.var, &oldest.var)? };
        }
        self.combine(&slots, images)
    }

    /// Pools with `batch` in the place of the newest, without remembering it.
    pub fn pooled_with(&self, batch: &Moments, images: usize, layer: &str) -> Result<Pooled> {
        let filled = self.filled()?;
        self.require(0, filled, layer)?;
        let older = self.slots(1, self.length.of(images).min(filled) - 1)?;
        let join = |newest: &Tensor, older: &Tensor| Tensor::cat(&[&newest.unsqueeze(0)?, older], 0);
        let slots = match older.mean.dim(0)? {
            0 => Moments { mean: batch.mean.unsqueeze(0)?, var: batch.var.unsqueeze(0)? },
            _ => Moments { mean: join(&batch.mean, &older.mean)?, var: join(&batch.var, &older.var)? },
        };
        self.combine(&slots, images)
    }

    /// Some slots, (count, C).
    fn slots(&self, first: usize, count: usize) -> Result<Moments> {
        let rows = |var: &Var| var.as_detached_tensor().narrow(0, first, count);
        Ok(Moments { mean: rows(&self.mean)?, var: rows(&self.var)? })
    }

    fn combine(&self, slots: &Moments, images: usize) -> Result<Pooled> {
        let batches = slots.mean.dim(0)?;
        let weights = self.length.weights(batches, images);
        let moments = ops::pooled_moments(&slots.mean, &slots.var, &weights, self.pool == Pool::Total)?;
        Ok(Pooled { moments, newest: weights[0], batches })
    }

    fn require(&self, age: usize, remembered: usize, layer: &str) -> Result<()> {
        if age < remembered {
            return Ok(());
        }
        Err(NormError::NothingToRefresh { layer: layer.into(), age, remembered }.into())
    }
}

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

    /// How many batches of so many images it pools.
    pub fn batches(&self, images: usize) -> usize {
        self.length.of(images)
    }

    /// The batch's means become age 0; those pooled over the newest batches, of so many images each.
    pub fn push(&self, mean_g: &Tensor, mean_gx: &Tensor, images: usize) -> Result<(Tensor, Tensor)> {
        ops::push_row(&self.mean_g, mean_g)?;
        ops::push_row(&self.mean_gx, mean_gx)?;
        ops::push_row(&self.filled, &self.filled.as_detached_tensor().narrow(0, 0, 1)?.ones_like()?)?;
        let wanted = self.length.of(images);
        if self.filled.device().is_cpu() || self.known.load(Ordering::Relaxed) < wanted {
            self.known.store(ops::filled_rows(&self.filled.as_detached_tensor(), 0.0)?, Ordering::Relaxed);
        }
        let weights = self.length.weights(wanted.min(self.known.load(Ordering::Relaxed)), images);
        let pooled = |rows: &Var| ops::weighted_rows(&rows.as_detached_tensor(), &weights);
        Ok((pooled(&self.mean_g)?, pooled(&self.mean_gx)?))
    }
}
