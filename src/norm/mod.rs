//! Normalizers: one file each, one trait, one table that names them ([`NORMS`]).
//!
//! Every layer takes (N,C,H,W) or (N,C), normalizes each channel over everything else, and is told in so many words
//! which [`Pass`] it is part of.

mod pass;
mod registry;

pub use pass::Pass;
pub use registry::{find, Kind, NormSpec, NORMS};

use candle_core::{Result, Tensor};

/// Mean and variance per channel, shape (C) each.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean of each channel.
    pub mean: Tensor,
    /// Variance of each channel; biased (divided by n) unless said otherwise.
    pub var: Tensor,
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

/// A normalization layer with its state.
pub trait Norm: Send + Sync + std::fmt::Debug {
    /// Normalizes `x`, (N,C,H,W) or (N,C); see [`Pass`] for what each pass uses and remembers.
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor>;

    /// Name of the inference rule, as the column `stats` has it: `ema`, `memory`, `sample`.
    fn rule(&self) -> &'static str;

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

    /// What the layer saw in the last pass that took batch statistics.
    fn observed(&self) -> Option<Observed> {
        None
    }
}
