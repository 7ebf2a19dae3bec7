//! Memorized Batch Normalization (Guo, Wu, Deng, Chen, Tan, AAAI 2018, arXiv 2010.04947).
//!
//! Training: y = gamma (x - mu)/sqrt(v + eps) + beta with statistics pooled over the newest `size` batches, the current
//! one (age 0) included: mu = sum a_i mu_i, v = sum a_i v_i (`pool = "mean"`) or
//! v = sum a_i (v_i + (mu_i - mu)²) (`pool = "total"`); a_i proportional to `decay`^i over the slots filled so far.
//! Remembers: (mu_i, biased v_i) of the newest `size` batches; the pooled (mu, v) as `running_mean`, `running_var`; and,
//! for comparison only, an exponential average (`ema_mean`, `ema_var`).
//! Gradient: remembered entries are constants, dx = gamma/s (g - c mean(g) - c x̃ mean(g x̂)), x̃ = (x - mu)/s for
//! "total", (x - mu_B)/s for "mean"; c = a_0 (`stat_grad = "weighted"`, the exact gradient), 1 ("full", BN's
//! gradient straight through), 0 ("none").
//! Inference: the same rule with the memory alone, an affine map.
//! Double-Forward: the refresh pass replaces the batch's slot by the statistics under the updated weights, then
//! normalizes with the pool (`refresh = "pooled"`) or with the fresh batch alone ("batch").
//! One value per channel (n = 1): v_B = 0, so the variance is that between batches, which only `pool = "total"` has
//! ("mean" refuses), and it takes two batches: the very first is only scaled and shifted (mean 0, variance 1). BN's
//! gradient vanishes identically for n = 1, so "full" refuses, too.
//!
//! The abstract fixes the idea; size, weights, pool and gradient are our reconstruction (see the README).

use std::sync::{Arc, Mutex};

use candle_core::{ModuleT, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::affine::Affine;
use super::memory::{Memory, Pool, Pooled};
use super::registry::Family;
use super::running::{Blend, RunningAverage, Stored};
use super::{BatchStatistics, Form, Moments, Norm, NormError, Observed, Pass, Source, Used};

/// How much of the gradient flows through the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatGrad {
    /// c = a_0, the exact gradient with the remembered entries constant.
    Weighted,
    /// c = 1, BN's gradient, straight through.
    Full,
    /// c = 0, the statistics are constants.
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

/// Parameters of [`MemorizedBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorizedBatchNormConfig {
    /// Batches pooled, the current one included; 1 is exactly BN.
    pub size: usize,
    /// Weight of a batch relative to the next newer one; 1 is uniform.
    pub decay: f64,
    /// Whether the spread between the batches' means counts as variance.
    pub pool: Pool,
    /// Gradient through the statistics.
    pub stat_grad: StatGrad,
    /// What the refresh pass normalizes with.
    pub refresh: RefreshWith,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest batch in the exponential average kept for `--stats ema`; training does not use it.
    pub momentum: f64,
}

impl Default for MemorizedBatchNormConfig {
    fn default() -> Self {
        Self {
            size: 64,
            decay: 0.98,
            pool: Pool::Total,
            stat_grad: StatGrad::Weighted,
            refresh: RefreshWith::Pooled,
            eps: 1e-5,
            momentum: 0.1,
        }
    }
}

/// Memorized Batch Normalization of (N,C,H,W) or (N,C).
#[derive(Debug)]
pub struct MemorizedBatchNorm {
    affine: Affine,
    config: MemorizedBatchNormConfig,
    memory: Memory,
    /// The pool over the memory as it stands: what inference uses.
    inference: Stored,
    ema: RunningAverage,
    observed: Mutex<Option<Observed>>,
}

/// A [`MemorizedBatchNorm`] for `num_features` channels, to use where `candle_nn::batch_norm` was:
/// `weight`, `bias`, `running_mean`, `running_var`, `memory_mean`, `memory_var`, `ema_mean`, `ema_var` from `vb`.
///
/// # Errors
/// `size` 0, or a builder that only reads and lacks a tensor.
pub fn memorized_batch_norm(
    num_features: usize,
    config: MemorizedBatchNormConfig,
    vb: VarBuilder,
) -> Result<MemorizedBatchNorm> {
    MemorizedBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    Ok(MemorizedBatchNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        memory: Memory::new(num_features, config.size, config.decay, config.pool, &vb)?,
        inference: Stored::new("running", num_features, &vb)?,
        ema: RunningAverage::new("ema", num_features, config.momentum, Blend::Total, &vb)?,
        config,
        observed: Mutex::default(),
    })
}

impl MemorizedBatchNorm {
    /// Takes the batch into the memory as the pass says; the statistics to normalize with, and c.
    fn remember(&self, batch: &Moments, count: usize, pass: Pass) -> Result<(Moments, f64)> {
        let layer = &self.affine.layer;
        match pass {
            Pass::Train => {
                self.memory.push(batch)?;
                self.ema.update(batch, count)?;
                let (used, factor) = self.usable(self.memory.pooled(0, layer)?, count)?;
                self.inference.set(&used)?;
                Ok((used, factor))
            }
            Pass::Refresh { age } => {
                self.memory.replace(age, batch, layer)?;
                self.ema.refresh(batch, count, age, layer)?;
                let (used, factor) = self.usable(self.memory.pooled(age, layer)?, count)?;
                if age == 0 {
                    self.inference.set(&used)?;
                }
                Ok(match self.config.refresh {
                    RefreshWith::Pooled => (used, factor),
                    RefreshWith::Batch => (batch.clone(), 1.0),
                })
            }
            Pass::Probe => self.usable(self.memory.pooled_with(batch, layer)?, count),
            Pass::Batch | Pass::Eval => Ok((batch.clone(), 1.0)),
        }
    }

    /// The pooled statistics and c; while they rest on a single value, mean 0 and variance 1.
    fn usable(&self, pooled: Pooled, count: usize) -> Result<(Moments, f64)> {
        if count * pooled.batches < 2 {
            let Moments { mean, var } = &pooled.moments;
            return Ok((Moments { mean: mean.zeros_like()?, var: var.ones_like()? }, 0.0));
        }
        let factor = match self.config.stat_grad {
            StatGrad::Weighted => pooled.newest,
            StatGrad::Full => 1.0,
            StatGrad::None => 0.0,
        };
        Ok((pooled.moments, factor))
    }

    /// The refusals for one value per channel.
    fn check_count(&self, x: &Shape, count: usize, pass: Pass) -> Result<()> {
        if count > 1 {
            return Ok(());
        }
        let batch_alone =
            pass == Pass::Batch || (matches!(pass, Pass::Refresh { .. }) && self.config.refresh == RefreshWith::Batch);
        if self.config.size == 1 || batch_alone {
            return self.affine.refuse_one_value(x, count);
        }
        let refusal = if self.config.pool == Pool::Mean {
            ("pool = \"mean\"", "every batch's own variance is 0; use pool = \"total\"")
        } else if self.config.stat_grad == StatGrad::Full {
            (
                "stat_grad = \"full\"",
                "BN's gradient through one value is no descent direction; use \"weighted\" or \"none\"",
            )
        } else {
            return Ok(());
        };
        let (choice, instead) = refusal;
        let (layer, shape) = (self.affine.layer.clone(), x.clone());
        Err(NormError::Undefined { layer, shape, choice, instead }.into())
    }
}

impl BatchStatistics for MemorizedBatchNorm {
    fn observes(&self, pass: Pass) -> bool {
        pass != Pass::Eval
    }

    fn statistics(&self, batch: Option<Moments>, x: &Shape, pass: Pass) -> Result<Used> {
        let count = self.affine.count(x)?;
        let Some(batch) = batch else { return Ok(Used::frozen(self.inference.get())) };
        self.check_count(x, count, pass)?;
        let (moments, factor) = self.remember(&batch, count, pass)?;
        Observed { batch: batch.clone(), used: moments.clone(), count }.remember(&self.observed);
        let center = match self.config.pool {
            Pool::Mean => batch.mean,
            Pool::Total => moments.mean.clone(),
        };
        Ok(Used { moments, center, factor })
    }
}

impl Norm for MemorizedBatchNorm {
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        self.affine.normalize(x, self, pass)
    }

    fn form(&self) -> Option<Form<'_>> {
        Some(self.affine.form(Source::Batch(self)))
    }

    fn rule(&self) -> &'static str {
        "memory"
    }

    fn training_rule(&self) -> &'static str {
        "memory"
    }

    fn inference(&self) -> Option<Moments> {
        Some(self.inference.get())
    }

    fn set_inference(&self, moments: &Moments) -> Result<()> {
        self.inference.set(moments)
    }

    fn ema(&self) -> Option<Moments> {
        Some(self.ema.now.get())
    }

    fn refresh_depth(&self) -> usize {
        self.config.size
    }

    fn observed(&self) -> Option<Observed> {
        Observed::recall(&self.observed)
    }
}

impl ModuleT for MemorizedBatchNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(x, if train { Pass::Train } else { Pass::Eval })
    }
}

impl Family for MemorizedBatchNorm {
    const NAME: &'static str = "mbn";
    const ABOUT: &'static str = "Memorized Batch Normalization: statistics pooled over the newest batches";
    const REFRESHES: bool = true;
    type Config = MemorizedBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        if config.size == 0 || config.size > 4096 {
            return Err(format!("size = {}: expected 1 to 4096 batches (1 is plain BN)", config.size));
        }
        if !(config.decay > 0.0 && config.decay <= 1.0) {
            return Err(format!("decay = {}: expected a number above 0 and at most 1 (1 is uniform)", config.decay));
        }
        Ok(())
    }

    fn build(features: usize, config: &Self::Config, vb: VarBuilder) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(memorized_batch_norm(features, *config, vb)?))
    }
}
