//! Normalizers: one file each, one trait, one table that names them ([`NORMS`]).
//!
//! Every layer takes (N,C,H,W) or (N,C), normalizes each channel over everything else, and is told in so many words
//! which [`Pass`] it is part of.

mod affine;
mod bn;
mod error;
mod form;
mod gn;
mod mbn;
mod memory;
mod none;
mod pass;
mod registry;
mod running;

pub use bn::{batch_norm, BatchNorm, BatchNormConfig};
pub use error::{is_undefined, NormError};
pub use form::{BatchStatistics, Form, SampleStatistics, Source, Used};
pub use gn::{group_norm, GroupNorm, GroupNormConfig};
pub use mbn::{memorized_batch_norm, MemorizedBatchNorm, MemorizedBatchNormConfig, RefreshWith, StatGrad};
pub use memory::Pool;
pub use none::{no_norm, NoNorm, NoNormConfig};
pub use pass::Pass;
pub use registry::{find, Kind, NormSpec, NORMS};

use std::sync::Mutex;

use candle_core::{Result, Tensor};

/// Mean and variance per channel, shape (C) each.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean of each channel.
    pub mean: Tensor,
    /// Variance of each channel; biased (divided by n) unless said otherwise.
    pub var: Tensor,
}

impl Moments {
    /// The same values in storage of their own.
    pub fn copy(&self) -> Result<Self> {
        Ok(Self { mean: self.mean.copy()?, var: self.var.copy()? })
    }
}

/// What a layer saw the last time it met a batch: the input to the measured distribution shift.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The batch's own statistics (biased variance).
    pub batch: Moments,
    /// The statistics it was normalized with.
    pub used: Moments,
    /// Values per channel in that batch (N·H·W).
    pub count: usize,
}

impl Observed {
    fn remember(self, slot: &Mutex<Option<Self>>) {
        *slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(self);
    }

    fn recall(slot: &Mutex<Option<Self>>) -> Option<Self> {
        slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

/// A normalization layer with its state.
pub trait Norm: Send + Sync + std::fmt::Debug {
    /// Normalizes `x`, (N,C,H,W) or (N,C); see [`Pass`] for what each pass uses and remembers.
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor>;

    /// Name of the inference rule, as the column `stats` has it: `ema`, `memory`, `sample`.
    fn rule(&self) -> &'static str;

    /// Name of what normalizes in training, likewise: `batch`, `memory`, `sample`.
    fn training_rule(&self) -> &'static str {
        self.rule()
    }

    /// Statistics used by [`Pass::Eval`]; none where no batch statistics are remembered.
    fn inference(&self) -> Option<Moments> {
        None
    }

    /// Replaces the statistics used by [`Pass::Eval`] (until the next training pass).
    fn set_inference(&self, _moments: &Moments) -> Result<()> {
        Ok(())
    }

    /// The running average of the batch statistics, for layers that keep one beside or as their inference rule.
    fn ema(&self) -> Option<Moments> {
        None
    }

    /// How many of the newest training passes a [`Pass::Refresh`] can still reach; 0 where there is nothing to refresh.
    fn refresh_depth(&self) -> usize {
        0
    }

    /// The layer taken apart for kernels that fuse it with its neighbours; none if it is of another form.
    fn form(&self) -> Option<Form<'_>> {
        None
    }

    /// What the layer saw in the last pass that took batch statistics.
    fn observed(&self) -> Option<Observed> {
        None
    }
}

/// Last components of the names under which layers keep statistics: state, not parameters.
const STATISTICS: &[&str] = &["running_mean", "running_var", "memory_mean", "memory_var", "ema_mean", "ema_var"];

/// Whether a variable of that (dotted) name is a normalizer's state rather than a parameter: no gradient, no optimizer.
pub fn is_statistic(name: &str) -> bool {
    STATISTICS.contains(&name.rsplit('.').next().unwrap_or(name))
}

fn check_eps(eps: f64) -> std::result::Result<(), String> {
    match eps.is_finite() && eps > 0.0 {
        true => Ok(()),
        false => Err(format!("eps = {eps}: expected a positive number")),
    }
}

fn check_momentum(momentum: f64) -> std::result::Result<(), String> {
    match momentum > 0.0 && momentum <= 1.0 {
        true => Ok(()),
        false => Err(format!("momentum = {momentum}: expected a number above 0 and at most 1")),
    }
}
