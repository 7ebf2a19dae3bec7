//! Batch Normalization (Ioffe & Szegedy, ICML 2015, arXiv 1502.03167), with PyTorch's conventions.
//!
//! Training: y = gamma (x - mu_B)/sqrt(v_B + eps) + beta, mu_B and biased v_B of the batch, per channel.
//! Remembers: running averages r += a (s - r), a = `momentum`, of mu_B and of the *unbiased* n/(n-1) v_B.
//! Gradient: through mu_B and v_B, dx = gamma/s (g - mean(g) - x̂ mean(g x̂)).
//! Inference: the running averages, constants.
//! Double-Forward: the refresh pass replaces the batch's part in the running averages by that of the updated weights.
//! One value per channel (n = 1): refused, the variance of one value is 0 and its unbiased form 0/0.

use std::sync::{Arc, Mutex};

use candle_core::{ModuleT, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::affine::Affine;
use super::registry::Family;
use super::running::{self, Blend, RunningAverage};
use super::{BatchStatistics, Form, Moments, Norm, Observed, Pass, Source, Used};

/// Parameters of [`BatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchNormConfig {
    /// Added to the variance.
    pub eps: f64,
    /// Weight a of the newest batch in the running averages (PyTorch's convention).
    pub momentum: f64,
}

impl Default for BatchNormConfig {
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1 }
    }
}

/// Batch Normalization of (N,C,H,W) or (N,C).
#[derive(Debug)]
pub struct BatchNorm {
    affine: Affine,
    running: RunningAverage,
    observed: Mutex<Option<Observed>>,
}

/// A [`BatchNorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var` from `vb`.
pub fn batch_norm(num_features: usize, config: BatchNormConfig, vb: VarBuilder) -> Result<BatchNorm> {
    Ok(BatchNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        running: RunningAverage::new("running", num_features, config.momentum, Blend::Unbiased, &vb)?,
        observed: Mutex::default(),
    })
}

impl BatchStatistics for BatchNorm {
    fn observes(&self, pass: Pass) -> bool {
        pass != Pass::Eval
    }

    fn statistics(&self, batch: Option<Moments>, x: &Shape, pass: Pass) -> Result<Used> {
        let count = self.affine.count(x)?;
        let Some(batch) = batch else { return Ok(Used::frozen(self.running.now.get())) };
        self.affine.refuse_one_value(x, count)?;
        match pass {
            Pass::Train => self.running.update(&batch, count)?,
            Pass::Refresh { age } => self.running.refresh(&batch, count, age, &self.affine.layer)?,
            Pass::Probe | Pass::Batch | Pass::Eval => {}
        }
        Observed { batch: batch.clone(), used: batch.clone(), count }.remember(&self.observed);
        Ok(Used::own(batch))
    }
}

impl Norm for BatchNorm {
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        self.affine.normalize(x, self, pass)
    }

    fn form(&self) -> Option<Form<'_>> {
        Some(self.affine.form(Source::Batch(self)))
    }

    fn rule(&self) -> &'static str {
        "ema"
    }

    fn training_rule(&self) -> &'static str {
        "batch"
    }

    fn inference(&self) -> Option<Moments> {
        Some(self.running.now.get())
    }

    fn set_inference(&self, moments: &Moments) -> Result<()> {
        self.running.now.set(moments)
    }

    fn ema(&self) -> Option<Moments> {
        Some(self.running.now.get())
    }

    fn refresh_depth(&self) -> usize {
        running::DEPTH
    }

    fn observed(&self) -> Option<Observed> {
        Observed::recall(&self.observed)
    }
}

impl ModuleT for BatchNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(x, if train { Pass::Train } else { Pass::Eval })
    }
}

impl Family for BatchNorm {
    const NAME: &'static str = "bn";
    const ABOUT: &'static str = "Batch Normalization: the batch's statistics, running averages for inference";
    const REFRESHES: bool = true;
    type Config = BatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)
    }

    fn build(features: usize, config: &Self::Config, vb: VarBuilder) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(batch_norm(features, *config, vb)?))
    }
}
