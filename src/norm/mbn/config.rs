//! The parameters of MBN.

use serde::{Deserialize, Serialize};

use crate::norm::length::Length;
use crate::norm::{check_eps, check_momentum};

/// What the pooled variance is made of; a_i are the weights, mu the pooled mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PooledVariance {
    /// v = sum a_i v_i
    Mean,
    /// v = sum a_i (v_i + (mu_i - mu)²), the law of total variance
    Total,
}

/// What replaces BN's means of g and g x̂ in the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatGrad {
    /// Those means pooled over the newest batches.
    Memorized,
    /// a_0 times the batch's means: the exact gradient with the remembered statistics constant.
    Weighted,
    /// The batch's means: BN's gradient, straight through.
    Full,
    /// Nothing: the statistics are constants.
    None,
}

/// What the second pass of Double-Forward normalizes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefreshWith {
    /// The pool, the fresh statistics in it: the training rule.
    Pooled,
    /// The fresh statistics of the batch alone.
    Batch,
}

/// What inference normalizes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InferWith {
    /// The running average.
    Average,
    /// The pool, as training does.
    Memory,
}

/// Parameters of [`MemorizedBatchNorm`](super::MemorizedBatchNorm).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorizedBatchNormConfig {
    /// Batches pooled, the current one included; 1 is exactly BN. 0: as `samples` says.
    pub size: usize,
    /// Number of images in the pooled batches together, where `size` is 0.
    pub samples: usize,
    /// Weight relative to the next newer batch (with `size`) or image (with `samples`); 1 is uniform. 0: such that weights
    /// fall to a quarter over the length of the memory.
    pub decay: f64,
    /// What the pooled variance is; whether it includes the spread between the batches' means.
    pub pool: PooledVariance,
    /// How gradients flow through the statistics.
    pub stat_grad: StatGrad,
    /// Batches whose gradient means are pooled ("memorized"). 0: `size` where that is given, else as `grad_samples` says.
    pub grad_size: usize,
    /// Number of images in those batches together, where neither `grad_size` nor `size` is given; more where that is fewer
    /// than `samples` values per channel, as in layers with one value per image. 0: `samples`.
    pub grad_samples: usize,
    /// As `decay`, for the gradients. 0: `decay`.
    pub grad_decay: f64,
    /// What the refresh pass normalizes with.
    pub refresh: RefreshWith,
    /// What inference normalizes with.
    pub inference: InferWith,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest 128 images in the running average; training does not use it.
    pub momentum: f64,
}

impl Default for MemorizedBatchNormConfig {
    fn default() -> Self {
        Self {
            size: 0,
            samples: 128,
            decay: 0.0,
            pool: PooledVariance::Total,
            stat_grad: StatGrad::Memorized,
            grad_size: 0,
            grad_samples: 32,
            grad_decay: 0.0,
            refresh: RefreshWith::Pooled,
            inference: InferWith::Average,
            eps: 1e-5,
            momentum: 0.1,
        }
    }
}

impl MemorizedBatchNormConfig {
    /// Checks ranges; the message names the key, its value and what is accepted.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        check_eps(self.eps)?;
        check_momentum(self.momentum)?;
        for (key, value) in [("size", self.size), ("grad_size", self.grad_size)] {
            if value > 4096 {
                return Err(format!(
                    "{key} = {value}: expected 1 to 4096 batches (1 is plain BN), or 0 for a length in images"
                ));
            }
        }
        if self.samples > 4096 || self.grad_samples > 4096 || (self.size, self.samples) == (0, 0) {
            let (samples, grad) = (self.samples, self.grad_samples);
            return Err(format!("samples = {samples}, grad_samples = {grad}: expected 1 to 4096 images"));
        }
        for (key, value) in [("decay", self.decay), ("grad_decay", self.grad_decay)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{key} = {value}: expected 0 to 1 (1 is uniform, 0 follows from the length)"));
            }
        }
        Ok(())
    }

    /// The parameters without effect beside the others, each with why.
    pub(super) fn idle(&self, refreshed: bool) -> Vec<(&'static str, &'static str)> {
        let pools = self.stat_grad == StatGrad::Memorized;
        [
            (self.size > 0, "samples", "size is given"),
            (!pools, "grad_size", "stat_grad is not memorized"),
            (!pools, "grad_samples", "stat_grad is not memorized"),
            (!pools, "grad_decay", "stat_grad is not memorized"),
            (pools && self.grad_size > 0, "grad_samples", "grad_size is given"),
            (pools && self.grad_size == 0 && self.size > 0, "grad_samples", "size is given"),
            (!refreshed, "refresh", "double_forward is off"),
            (
                self.inference == InferWith::Memory,
                "momentum",
                "inference is memory, so only `eval --stats ema` uses it",
            ),
        ]
        .into_iter()
        .filter_map(|(is_idle, key, why)| is_idle.then_some((key, why)))
        .collect()
    }

    pub(super) fn length(&self) -> Length {
        match self.size {
            0 => Length::images(self.samples, 0, self.decay),
            size => Length::batches(size, self.decay),
        }
    }

    pub(super) fn grad_length(&self) -> Length {
        let decay = if self.grad_decay > 0.0 { self.grad_decay } else { self.decay };
        match (self.grad_size, self.size, self.grad_samples) {
            (0, 0, 0) => Length::images(self.samples, 0, decay),
            (0, 0, samples) => Length::images(samples, self.samples, decay),
            (0, size, _) | (size, _, _) => Length::batches(size, decay),
        }
    }
}
