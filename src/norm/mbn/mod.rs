//! Memorized Batch Normalization (Guo, Wu, Deng, Chen, Tan, AAAI 2018, arXiv 2010.04947), with a memory for both passes.
//!
//! Training: y = gamma (x - mu)/s + beta, s = sqrt(v + eps), with statistics pooled over the newest batches, the current one
//! (age 0) included: mu = sum a_i mu_i, v = sum a_i v_i (`pool = "mean"`) or v = sum a_i (v_i + (mu_i - mu)²)
//! (`pool = "total"`); a_i falls by `decay` from each to the next older, over the slots filled so far.
//! Gradient: dx = gamma/s (g - G1 - x̃ G2), x̃ = (x - mu)/s for "total", (x - mu_B)/s for "mean". BN subtracts the batch's
//! means of g and g x̂; here `stat_grad` says what replaces them: "memorized" pools them over the newest batches, as the
//! forward pass pools its statistics, G1 = sum b_i mean(g)_i and G2 = sum b_i mean(g x̂)_i, older batches constant;
//! "weighted" takes a_0 times the batch's (the exact gradient with remembered statistics constant), "full" the batch's
//! (BN's gradient, straight through), "none" nothing.
//! Length: `size` batches, or as many as hold `samples` images, at least one: then MBN is BN from batches of that many
//! images on. Likewise for the gradient's memory (`grad_size`, `grad_samples`, `grad_decay`), which holds `samples` values per
//! channel at least: means over fewer values are too noisy.
//! Remembers: (mu_i, biased v_i) and (mean(g)_i, mean(g x̂)_i) of the newest batches, and a running average of all batches'
//! (mu_i, v_i), by the law of total variance, in which 128 images have the weight `momentum`, as one batch of that size in BN.
//! Inference: that average (`inference = "average"`), a longer memory than training's, or the memory alone ("memory"), kept
//! as `running_mean`, `running_var`; an affine map either way.
//! Double-Forward: the refresh pass replaces the batch's slot by the statistics under the updated weights, then
//! normalizes with the pool (`refresh = "pooled"`) or with the fresh batch alone ("batch"). Gradients are not refreshed.
//! One value per channel (n = 1): v_B = 0, so the variance is that between batches, which only `pool = "total"` has
//! ("mean" refuses), and it takes two batches: the very first is only scaled and shifted (mean 0, variance 1), its gradient
//! not remembered. BN's gradient vanishes identically for n = 1, so "full" refuses, too, as does "memorized" over one batch.
//!
//! The abstract fixes the idea; lengths, weights, pool and gradient are our reconstruction (see docs/methods.md).

mod config;
mod gradients;
mod memory;

use std::sync::Arc;

use candle_core::{Result, Var};
use candle_nn::VarBuilder;

pub use self::config::{InferWith, MemorizedBatchNormConfig, PooledVariance, RefreshWith, StatGrad};
use self::gradients::{GRADIENTS, GradientMemory};
use self::memory::{MEMORY, Memory, PooledMoments};
use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::{Blend, MomentVars, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Coefficients, Input, Moments, Norm, Pass, Projection, module_t};
use crate::ops;

/// Memorized Batch Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct MemorizedBatchNorm {
    affine: Affine,
    config: MemorizedBatchNormConfig,
    memory: Memory,
    gradients: Option<GradientMemory>,
    /// The statistics of inference.
    inference: MomentVars,
    average: RunningAverage,
    seen: Var,
    observed: Observation,
}

/// The running average, and how many batches it has seen.
const AVERAGE: [StateTensor; 2] = [StateTensor::training("ema_mean", 0.0), StateTensor::training("ema_var", 1.0)];
const SEEN: StateTensor = StateTensor::training("ema_batches", 0.0);

/// A [`MemorizedBatchNorm`] for `num_features` channels, to use where `candle_nn::batch_norm` was: `weight`, `bias`,
/// `running_mean`, `running_var` and the training state from `vb`.
///
/// # Errors
/// Parameters out of range, or a builder that only reads and lacks a tensor.
pub fn memorized_batch_norm(
    num_features: usize,
    config: MemorizedBatchNormConfig,
    vb: VarBuilder,
) -> Result<MemorizedBatchNorm> {
    MemorizedBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let memorized = config.stat_grad == StatGrad::Memorized;
    let gradients = || GradientMemory::new(num_features, config.grad_length(), &vb);
    Ok(MemorizedBatchNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        memory: Memory::new(num_features, config.length(), config.pool, &vb)?,
        gradients: memorized.then(gradients).transpose()?,
        inference: MomentVars::new(RUNNING, num_features, &vb)?,
        average: RunningAverage::new(AVERAGE, num_features, Blend::Total, &vb)?,
        seen: SEEN.create(1, &vb)?,
        config,
        observed: Observation::default(),
    })
}

/// What a batch is normalized with: statistics, and the batch's weight in them; 0 where they rest on a single value.
struct Normalization {
    moments: Moments,
    newest: f64,
}

impl MemorizedBatchNorm {
    /// Takes the batch into the memory as the pass requires; returns what to normalize it with.
    fn remember(&self, batch: &Moments, input: &Input) -> Result<Normalization> {
        let (layer, extent, count) = (self.affine.layer(), input.extent(), input.count());
        let alone = || Normalization { moments: batch.clone(), newest: 1.0 };
        match input.call.pass {
            Pass::Train => {
                self.memory.push(batch, extent, input.call.progress.parts)?;
                self.average.take(batch, count, self.weight(extent.images)?, input.call, layer)?;
                let used = self.usable(self.memory.pooled(0, extent, layer)?, count)?;
                self.infer_with(&used.moments)?;
                Ok(used)
            }
            Pass::Refresh { age } => {
                self.memory.replace(age, batch, layer)?;
                self.average.take(batch, count, 0.0, input.call, layer)?;
                let used = self.usable(self.memory.pooled(age, extent, layer)?, count)?;
                if age == 0 {
                    self.infer_with(&used.moments)?;
                }
                Ok(match self.config.refresh {
                    RefreshWith::Pooled => used,
                    RefreshWith::Batch => alone(),
                })
            }
            Pass::Probe => self.usable(self.memory.pooled_with(batch, extent, layer)?, count),
            _ => Ok(alone()),
        }
    }

    /// The weight of the next batch, of `images`, in the running average: a plain mean over all batches at first, then an
    /// exponential one.
    fn weight(&self, images: usize) -> Result<f64> {
        let seen = ops::count_up(&self.seen)?;
        let settled = 1.0 - (1.0 - self.config.momentum).powf(images as f64 / 128.0);
        Ok(settled.max(1.0 / (seen + 1.0)))
    }

    /// Sets the statistics of inference, given the pool.
    fn infer_with(&self, pool: &Moments) -> Result<()> {
        match self.config.inference {
            InferWith::Average => self.inference.set(&self.average.now.get()),
            InferWith::Memory => self.inference.set(pool),
        }
    }

    /// The pooled statistics; while they rest on a single value, mean 0 and variance 1.
    fn usable(&self, pooled: PooledMoments, count: usize) -> Result<Normalization> {
        let PooledMoments { moments, newest, batches } = pooled;
        if count * batches < 2 {
            let (mean, var) = (moments.mean.zeros_like()?, moments.var.ones_like()?);
            return Ok(Normalization { moments: Moments { mean, var }, newest: 0.0 });
        }
        Ok(Normalization { moments, newest })
    }

    /// Refuses what is undefined for one value per channel.
    fn check_count(&self, input: &Input, count: usize) -> Result<()> {
        let (x, pass, extent) = (input.shape, input.call.pass, input.extent());
        if count > 1 {
            return Ok(());
        }
        let refreshed_alone = matches!(pass, Pass::Refresh { .. }) && self.config.refresh == RefreshWith::Batch;
        if self.memory.batches(extent) == 1 || pass == Pass::Batch || refreshed_alone {
            return self.affine.refuse_one_value(x, count);
        }
        let one_gradient = self.gradients.as_ref().is_some_and(|memory| memory.batches(extent) == 1);
        let (choice, instead) = match (self.config.pool, self.config.stat_grad) {
            (PooledVariance::Mean, _) => ("pool = \"mean\"", "every batch's own variance is 0; use pool = \"total\""),
            (_, StatGrad::Full) => {
                let why = "BN's gradient is not a descent direction here; use \"memorized\" or \"weighted\"";
                ("stat_grad = \"full\"", why)
            }
            _ if one_gradient => {
                let why = "that is BN's gradient, which is not a descent direction here; use a larger \
                           `grad_size` or `grad_samples`";
                ("a gradient memory of one batch", why)
            }
            _ => return Ok(()),
        };
        Err(self.affine.undefined(x, choice, instead))
    }
}

impl Norm for MemorizedBatchNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(batch) = &input.moments else { return self.affine.constant(&self.inference.get()) };
        let (extent, count) = (input.extent(), input.count());
        self.check_count(input, count)?;
        let Normalization { moments, newest } = self.remember(batch, input)?;
        self.observed.set(batch, &moments, count);
        let center = match self.config.pool {
            PooledVariance::Mean => batch.mean.clone(),
            PooledVariance::Total => moments.mean.clone(),
        };
        let (stat_grad, gradients) = (self.config.stat_grad, self.gradients.clone());
        self.affine.normalized(&moments, count, move |mean_g, mean_gx| {
            let (mean_g, mean_gx) = match (stat_grad, &gradients) {
                _ if newest == 0.0 => return Ok(None),
                (StatGrad::None, _) => return Ok(None),
                (StatGrad::Memorized, Some(memory)) => memory.push(&mean_g, &mean_gx, extent)?,
                (StatGrad::Weighted, _) => (mean_g.affine(newest, 0.0)?, mean_gx.affine(newest, 0.0)?),
                (StatGrad::Full | StatGrad::Memorized, _) => (mean_g, mean_gx),
            };
            Ok(Some(Projection { mean_g, mean_gx, center: center.clone() }))
        })
    }

    fn rule(&self) -> &'static str {
        "memory"
    }

    fn training_rule(&self) -> &'static str {
        "memory"
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        let (inference, average) = (&self.inference, &self.average.now);
        Some(BatchStatistics { inference, average, observed: &self.observed, refreshes: true })
    }
}

module_t!(MemorizedBatchNorm);

const STATE: [StateTensor; 10] = [
    RUNNING[0],
    RUNNING[1],
    MEMORY[0],
    MEMORY[1],
    AVERAGE[0],
    AVERAGE[1],
    SEEN,
    GRADIENTS[0],
    GRADIENTS[1],
    GRADIENTS[2],
];

impl Family for MemorizedBatchNorm {
    const NAME: &'static str = "mbn";
    const ABOUT: &'static str =
        "Memorized Batch Normalization: statistics and gradients pooled over the newest batches";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &STATE;
    type Config = MemorizedBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        config.check()
    }

    fn idle(config: &Self::Config, refreshed: bool) -> Vec<(&'static str, &'static str)> {
        config.idle(refreshed)
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(memorized_batch_norm(site.features, *config, site.vb)?))
    }
}
