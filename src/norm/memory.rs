//! The memory of MBN: the statistics of the newest batches, newest first, and how they are pooled.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Result, Tensor, Var};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::running::state;
use super::{Moments, NormError};

/// What the pooled variance is made of; a_i are the weights, mu the pooled mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// v = sum a_i v_i
    Mean,
    /// v = sum a_i (v_i + (mu_i - mu)²), the law of total variance
    Total,
}

/// Marks a slot that no batch has filled yet: a variance that cannot be.
const EMPTY: f64 = -1.0;

/// The remembered (mean, biased variance) per batch, two tensors of shape (size, C), `memory_mean` and `memory_var`;
/// row i is the batch of age i.
#[derive(Debug)]
pub(super) struct Memory {
    mean: Var,
    var: Var,
    size: usize,
    decay: f64,
    pool: Pool,
    filled: AtomicUsize,
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
    /// An empty memory of `size` slots, or the one in `vb`.
    pub fn new(features: usize, size: usize, decay: f64, pool: Pool, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            mean: state((size, features), "memory_mean", 0.0, vb)?,
            var: state((size, features), "memory_var", EMPTY, vb)?,
            size,
            decay,
            pool,
            filled: AtomicUsize::new(0),
        })
    }

    /// Slots filled so far. Read off the tensors until all are, since a checkpoint may be loaded into them any time.
    pub fn filled(&self) -> Result<usize> {
        if self.filled.load(Ordering::Relaxed) < self.size {
            let column = self.var.as_detached_tensor().narrow(1, 0, 1)?.flatten_all()?;
            let column = column.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()?;
            self.filled.store(column.iter().take_while(|&&v| v != EMPTY).count(), Ordering::Relaxed);
        }
        Ok(self.filled.load(Ordering::Relaxed))
    }

    /// The batch becomes age 0; the others grow older by one, the oldest is forgotten.
    pub fn push(&self, batch: &Moments) -> Result<()> {
        for (memory, newest) in [(&self.mean, &batch.mean), (&self.var, &batch.var)] {
            let newest = newest.unsqueeze(0)?;
            let rows = match self.size {
                1 => newest.contiguous()?,
                size => Tensor::cat(&[&newest, &memory.as_detached_tensor().narrow(0, 0, size - 1)?], 0)?,
            };
            memory.set(&rows)?;
        }
        Ok(())
    }

    /// Replaces the statistics of the batch of that age.
    pub fn replace(&self, age: usize, batch: &Moments, layer: &str) -> Result<()> {
        self.require(age, layer)?;
        self.mean.as_detached_tensor().slice_set(&batch.mean.unsqueeze(0)?.contiguous()?, 0, age)?;
        self.var.as_detached_tensor().slice_set(&batch.var.unsqueeze(0)?.contiguous()?, 0, age)
    }

    /// Pools the batches of that age and older: what the training pass of that batch pools.
    pub fn pooled(&self, age: usize, layer: &str) -> Result<Pooled> {
        self.require(age, layer)?;
        let batches = self.filled()? - age;
        let rows = |var: &Var| var.as_detached_tensor().narrow(0, age, batches);
        self.combine(&rows(&self.mean)?, &rows(&self.var)?)
    }

    /// Pools with `batch` in the place of the newest, without remembering it.
    pub fn pooled_with(&self, batch: &Moments, layer: &str) -> Result<Pooled> {
        self.require(0, layer)?;
        let older = self.filled()? - 1;
        let rows = |newest: &Tensor, var: &Var| {
            Tensor::cat(&[&newest.unsqueeze(0)?, &var.as_detached_tensor().narrow(0, 1, older)?], 0)
        };
        match older {
            0 => self.combine(&batch.mean.unsqueeze(0)?, &batch.var.unsqueeze(0)?),
            _ => self.combine(&rows(&batch.mean, &self.mean)?, &rows(&batch.var, &self.var)?),
        }
    }

    /// mu and v of k rows, means and variances (k,C).
    fn combine(&self, means: &Tensor, vars: &Tensor) -> Result<Pooled> {
        let batches = means.dim(0)?;
        let weights = weights(self.decay, batches);
        let newest = weights[0];
        let a = Tensor::from_vec(weights, (1, batches), means.device())?.to_dtype(means.dtype())?;
        let mean = a.matmul(&means.contiguous()?)?;
        let spread = match self.pool {
            Pool::Mean => vars.contiguous()?,
            Pool::Total => (vars + means.broadcast_sub(&mean)?.sqr()?)?,
        };
        let var = a.matmul(&spread)?.squeeze(0)?;
        Ok(Pooled { moments: Moments { mean: mean.squeeze(0)?, var }, newest, batches })
    }

    fn require(&self, age: usize, layer: &str) -> Result<()> {
        let remembered = self.filled()?;
        if age < remembered {
            return Ok(());
        }
        Err(NormError::NothingToRefresh { layer: layer.into(), age, remembered }.into())
    }
}

/// a_i proportional to decay^i, i = 0..batches, summing to 1.
fn weights(decay: f64, batches: usize) -> Vec<f64> {
    let mut weights: Vec<f64> = std::iter::successors(Some(1.0), |w| Some(w * decay)).take(batches).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    weights
}
