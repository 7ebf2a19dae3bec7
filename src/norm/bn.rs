//! Batch Normalization (Ioffe & Szegedy, ICML 2015, arXiv 1502.03167), with PyTorch's conventions.
//!
//! Training: y = gamma (x - mu_B)/sqrt(v_B + eps) + beta, mu_B and biased v_B of the batch, per channel.
//! Remembers: running averages r += a (s - r), a = `momentum`, of mu_B and of the *unbiased* n/(n-1) v_B.
//! Gradient: through mu_B and v_B, dx = gamma/s (g - mean(g) - x̂ mean(g x̂)).
//! Inference: the running averages, constants.
//! Double-Forward: the refresh replaces the batch's contribution to the running averages by that under the updated weights.
//! One value per channel (n = 1): refused, the variance of one value is 0 and its unbiased form 0/0.

use std::sync::Arc;

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::{Blend, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Coefficients, Input, Norm, module_t};

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
#[derive(Debug, Clone)]
pub struct BatchNorm {
    affine: Affine,
    running: RunningAverage,
    momentum: f64,
    observed: Observation,
}

/// A [`BatchNorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var` from `vb`.
///
/// # Errors
/// A tensor that `vb` lacks or has in another shape.
pub fn batch_norm(num_features: usize, config: BatchNormConfig, vb: VarBuilder) -> Result<BatchNorm> {
    BatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    BatchNorm::scaled(Affine::new(num_features, config.eps, &vb)?, config.momentum, &vb)
}

impl BatchNorm {
    /// A layer with the scale and shift `affine`.
    pub(super) fn scaled(affine: Affine, momentum: f64, vb: &VarBuilder) -> Result<Self> {
        let running = RunningAverage::new(RUNNING, affine.gamma().elem_count(), Blend::Unbiased, vb)?;
        Ok(Self { affine, running, momentum, observed: Observation::default() })
    }
}

impl Norm for BatchNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(batch) = &input.moments else { return self.affine.constant(&self.running.now.get()) };
        let count = input.count();
        self.affine.refuse_one_value(input.shape, count)?;
        self.running.take(batch, count, self.momentum, input.call, self.affine.layer())?;
        self.observed.set(batch, batch, count);
        self.affine.projected(batch, count)
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::average(&self.running, &self.observed))
    }
}

module_t!(BatchNorm);

impl Family for BatchNorm {
    const NAME: &'static str = "bn";
    const ABOUT: &'static str = "Batch Normalization: the batch's statistics, running averages for inference";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &RUNNING;
    type Config = BatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(batch_norm(site.features, *config, site.vb)?))
    }
}
