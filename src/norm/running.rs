//! A running average of batch statistics, with enough history for Double-Forward to replace its newest entries.

use std::collections::VecDeque;
use std::sync::Mutex;

use candle_core::{Result, Shape, Tensor, Var};
use candle_nn::{Init, VarBuilder};

use super::{Moments, NormError};

/// How a batch's statistics enter the average, a = momentum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blend {
    /// PyTorch's: m += a (mu_B - m), v += a (n/(n-1) v_B - v).
    Unbiased,
    /// The exact running average of (E\[x\], E\[x²\]), in central form (law of total variance); defined for n = 1.
    Total,
}

/// How many training passes back a refresh can reach; older entries weigh (1-a)^64, nothing at any usual momentum.
pub(super) const DEPTH: usize = 64;

/// A mean and a variance per channel, shape (C) each, kept in the variable builder's tensors.
#[derive(Debug)]
pub(super) struct Stored {
    mean: Var,
    var: Var,
}

impl Stored {
    /// The pair kept under `<prefix>_mean` (0 at first) and `<prefix>_var` (1).
    pub fn new(prefix: &str, features: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            mean: state(features, &format!("{prefix}_mean"), 0.0, vb)?,
            var: state(features, &format!("{prefix}_var"), 1.0, vb)?,
        })
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
#[derive(Debug)]
pub(super) struct RunningAverage {
    /// As it stands.
    pub now: Stored,
    momentum: f64,
    blend: Blend,
    /// The average as it stood before each of the newest training passes, newest first.
    before: Mutex<VecDeque<Moments>>,
}

impl RunningAverage {
    /// The average kept under `<prefix>_mean` (0 at first) and `<prefix>_var` (1).
    pub fn new(prefix: &str, features: usize, momentum: f64, blend: Blend, vb: &VarBuilder) -> Result<Self> {
        Ok(Self { now: Stored::new(prefix, features, vb)?, momentum, blend, before: Mutex::default() })
    }

    /// Takes in the statistics (biased) of a batch of `count` values per channel.
    pub fn update(&self, batch: &Moments, count: usize) -> Result<()> {
        let old = self.now.get().copy()?;
        self.now.set(&self.step(&old, batch, count)?)?;
        let mut before = self.before.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        before.push_front(old);
        before.truncate(DEPTH);
        Ok(())
    }

    /// Replaces what the training pass of `age` passes ago put in. Refreshing several goes from the oldest to age 0,
    /// which is when the average itself changes; beyond [`DEPTH`] there is nothing left to replace.
    pub fn refresh(&self, batch: &Moments, count: usize, age: usize, layer: &str) -> Result<()> {
        if age >= DEPTH {
            return Ok(());
        }
        let mut before = self.before.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(old) = before.get(age) else {
            return Err(NormError::NothingToRefresh { layer: layer.into(), age, remembered: before.len() }.into());
        };
        let new = self.step(old, batch, count)?;
        match age {
            0 => self.now.set(&new)?,
            _ => before[age - 1] = new,
        }
        Ok(())
    }

    /// The average after one more batch.
    fn step(&self, old: &Moments, batch: &Moments, count: usize) -> Result<Moments> {
        let a = self.momentum;
        let mix = |old: &Tensor, new: &Tensor, scale: f64| old.affine(1.0 - a, 0.0)? + new.affine(a * scale, 0.0)?;
        let mean = mix(&old.mean, &batch.mean, 1.0)?;
        let var = match self.blend {
            Blend::Unbiased => mix(&old.var, &batch.var, count as f64 / (count as f64 - 1.0))?,
            Blend::Total => {
                let between = (&batch.mean - &old.mean)?.sqr()?.affine(a * (1.0 - a), 0.0)?;
                (mix(&old.var, &batch.var, 1.0)? + between)?
            }
        };
        Ok(Moments { mean, var })
    }
}

/// A tensor of state: shared with the variable builder's variable where it keeps variables, a fresh one where it only
/// reads (a checkpoint opened for inference). What a plain BatchNorm's checkpoint lacks, memories and the average kept
/// for comparison, starts empty there.
pub(super) fn state<S: Into<Shape>>(shape: S, name: &str, fill: f64, vb: &VarBuilder) -> Result<Var> {
    let shape = shape.into();
    match vb.get_with_hints(shape.clone(), name, Init::Const(fill)) {
        Err(_) if !name.starts_with("running_") && !vb.contains_tensor(name) => {
            Var::from_tensor(&Tensor::full(fill, shape, vb.device())?.to_dtype(vb.dtype())?)
        }
        tensor => Var::from_tensor(&tensor?),
    }
}
