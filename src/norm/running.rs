//! A running average of batch statistics, with enough history for Double-Forward to replace its newest entries.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use candle_core::{Result, Var};
use candle_nn::VarBuilder;

use super::state::StateTensor;
use super::{Call, Moments, NormError, Pass};
use crate::ops;

/// How a batch's mean mu_B and biased variance v_B enter the average (m, v), with weight a.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Blend {
    /// PyTorch's: m += a (mu_B - m), v += a (n/(n-1) v_B - v).
    Unbiased,
    /// The same with the biased v_B.
    Biased,
    /// The exact running average of (E\[x\], E\[x²\]), in central form (law of total variance); defined for n = 1.
    Total,
    /// Of deviations instead of variances: sigma += a (sigma_B - sigma) with sigma = sqrt(v + eps).
    Deviation { eps: f64 },
}

/// A mean and a variance per channel, shape (C) each, kept in the variable builder's tensors.
#[derive(Debug, Clone)]
pub(super) struct MomentVars {
    mean: Var,
    var: Var,
}

impl MomentVars {
    /// The pair stored in those two state tensors.
    pub fn new([mean, var]: [StateTensor; 2], features: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self { mean: mean.create(features, vb)?, var: var.create(features, vb)? })
    }

    /// The current pair; it shares storage, so later changes show through.
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
    /// The current average.
    pub now: MomentVars,
    blend: Blend,
    /// The average as it stood before each of the newest update's training passes, and the weight a of each, newest first.
    history: Arc<Mutex<VecDeque<(Moments, f64)>>>,
}

/// The average before and after a batch, as copies.
pub(super) struct AverageUpdate {
    pub before: Moments,
    pub after: Moments,
}

impl RunningAverage {
    /// The average stored in those two state tensors.
    pub fn new(state: [StateTensor; 2], features: usize, blend: Blend, vb: &VarBuilder) -> Result<Self> {
        Ok(Self { now: MomentVars::new(state, features, vb)?, blend, history: Arc::default() })
    }

    /// Takes in the statistics (biased variance) of a batch of `count` values per channel: in training with weight `a`; in a
    /// refresh with the weight it had then, in place of its earlier contribution. Several batches are refreshed from the
    /// oldest to age 0, and only the last of these changes the average itself. A probe changes nothing.
    ///
    /// None for passes that use the batch alone.
    pub fn take(
        &self,
        batch: &Moments,
        count: usize,
        a: f64,
        call: Call,
        layer: &str,
    ) -> Result<Option<AverageUpdate>> {
        let mut history = self.history.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (before, a) = match call.pass {
            Pass::Train => {
                let before = self.now.get().copy()?;
                history.push_front((before.clone(), a));
                history.truncate(call.progress.parts);
                (before, a)
            }
            Pass::Refresh { .. } | Pass::Probe => {
                let age = if let Pass::Refresh { age } = call.pass { age } else { 0 };
                let remembered = history.len();
                let nothing = || NormError::NothingToRefresh { layer: layer.into(), age, remembered };
                history.get(age).cloned().ok_or_else(nothing)?
            }
            _ => return Ok(None),
        };
        let after = self.blend.of(&before, batch, count, a)?;
        match call.pass {
            Pass::Train | Pass::REFRESH => self.now.set(&after)?,
            Pass::Refresh { age } => history[age - 1].0 = after.clone(),
            _ => {}
        }
        Ok(Some(AverageUpdate { before, after }))
    }
}

impl Blend {
    /// An average with one more batch taken in.
    fn of(self, average: &Moments, batch: &Moments, count: usize, a: f64) -> Result<Moments> {
        let (scale, between) = match self {
            Self::Unbiased => (count as f64 / (count as f64 - 1.0), 0.0),
            Self::Biased => (1.0, 0.0),
            Self::Total => (1.0, a * (1.0 - a)),
            Self::Deviation { eps } => {
                let sigma = |of: &Moments| (&of.var + eps)?.sqrt();
                let blended = (sigma(average)?.affine(1.0 - a, 0.0)? + sigma(batch)?.affine(a, 0.0)?)?;
                let mean = (average.mean.affine(1.0 - a, 0.0)? + batch.mean.affine(a, 0.0)?)?;
                return Ok(Moments { mean, var: (blended.sqr()? - eps)? });
            }
        };
        let new = average.copy()?;
        ops::blend_moments(&new, batch, a, scale, between)?;
        Ok(new)
    }
}
