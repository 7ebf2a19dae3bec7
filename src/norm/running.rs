//! A running average of batch statistics, with enough history for Double-Forward to replace its newest entries.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use candle_core::{Result, Var};
use candle_nn::VarBuilder;

use super::state::StateTensor;
use super::{Moments, NormError};
use crate::ops;

/// How a batch's statistics enter the average, with weight a.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blend {
    /// PyTorch's: m += a (mu_B - m), v += a (n/(n-1) v_B - v).
    Unbiased,
    /// The exact running average of (E\[x\], E\[x²\]), in central form (law of total variance); defined for n = 1.
    Total,
}

/// A mean and a variance per channel, shape (C) each, kept in the variable builder's tensors.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    mean: Var,
    var: Var,
}

impl Stored {
    /// The pair that those two tensors of state are.
    pub fn new([mean, var]: [StateTensor; 2], features: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self { mean: mean.create(features, vb)?, var: var.create(features, vb)? })
    }

    /// The pair as it stands; later changes show through.
    pub fn get(&self) -> Moments {
        Moments { mean: self.mean.as_detached_tensor(), var: self.var.as_detached_tensor() }
    }

    /// Replaces it.
    pub fn set(&self, to: &Moments) -> Result<()> {
        self.mean.set(&to.mean.contiguous()?)?;
        self.var.set(&to.var.contiguous()?)
    }
}

/// The running average.
#[derive(Debug, Clone)]
pub(super) struct RunningAverage {
    /// As it stands.
    pub now: Stored,
    blend: Blend,
    /// The average as it stood before each of the newest update's training passes, and the weight a of each, newest first.
    before: Arc<Mutex<VecDeque<(Moments, f64)>>>,
}

impl RunningAverage {
    /// The average kept in those two tensors of state.
    pub fn new(state: [StateTensor; 2], features: usize, blend: Blend, vb: &VarBuilder) -> Result<Self> {
        Ok(Self { now: Stored::new(state, features, vb)?, blend, before: Arc::default() })
    }

    /// Takes in, with weight `a`, the statistics (biased) of a batch of `count` values per channel, one of the `parts` of an
    /// update.
    pub fn update(&self, batch: &Moments, count: usize, a: f64, parts: usize) -> Result<()> {
        let old = self.now.get().copy()?;
        self.blend(&self.now.get(), batch, count, a)?;
        let mut before = self.before.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        before.push_front((old, a));
        before.truncate(parts);
        Ok(())
    }

    /// Replaces what the training pass of `age` passes ago put in. Refreshing several goes from the oldest to age 0,
    /// which is when the average itself changes.
    pub fn refresh(&self, batch: &Moments, count: usize, age: usize, layer: &str) -> Result<()> {
        let mut before = self.before.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some((old, a)) = before.get(age) else {
            return Err(NormError::NothingToRefresh { layer: layer.into(), age, remembered: before.len() }.into());
        };
        let new = old.copy()?;
        self.blend(&new, batch, count, *a)?;
        match age {
            0 => self.now.set(&new)?,
            _ => before[age - 1].0 = new,
        }
        Ok(())
    }

    /// Takes one more batch into an average.
    fn blend(&self, average: &Moments, batch: &Moments, count: usize, a: f64) -> Result<()> {
        let (scale, between) = match self.blend {
            Blend::Unbiased => (count as f64 / (count as f64 - 1.0), 0.0),
            Blend::Total => (1.0, a * (1.0 - a)),
        };
        ops::blend_moments(average, batch, a, scale, between)
    }
}
