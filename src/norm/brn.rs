//! Batch Renormalization (Ioffe, NeurIPS 2017, arXiv 1702.03275).
//!
//! Training: y = gamma (r (x - mu_B)/s_B + d) + beta, s_B = sqrt(v_B + eps), with the corrections r = s_B/s within
//! [1/R, R] and d = (mu_B - mu)/s within [-D, D] towards the running mu and s as they stood before this batch. Where neither
//! is at its limit, that is y = gamma (x - mu)/s + beta: inference.
//! R and D: 1 and 0, which is BN, for `warmup` of the training; then R grows to `r_max` and D to `d_max`, linearly until
//! `r_relaxed` and `d_relaxed` of the training (`schedule = "ramp"`) or at once (`"switch"`).
//! Remembers: running averages of mu_B and of the deviation s_B; `running_var` holds s² - eps.
//! Gradient: r and d are constants; through mu_B and s_B, BN's times r.
//! Inference: the running averages, constants.
//! Double-Forward: the batch's contribution to the averages is replaced; r and d use the averages without it, as in training.
//! One value per channel (n = 1): refused, as in BN; x - mu_B is 0, so that only the constant d would be left.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::{Blend, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Coefficients, Gradient, Input, Moments, Norm, module_t};
use crate::ops::ChannelMap;

/// How the limits of r and d grow after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relaxation {
    /// Linearly.
    Ramp,
    /// At once.
    Switch,
}

/// Parameters of [`BatchRenorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchRenormConfig {
    /// R at the end of the schedule: r is clamped to [1/R, R].
    pub r_max: f64,
    /// D at the end of the schedule: d is clamped to [-D, D].
    pub d_max: f64,
    /// How the limits grow.
    pub schedule: Relaxation,
    /// Fraction of the training that is plain BN.
    pub warmup: f64,
    /// Fraction of the training after which a ramp is at `r_max`.
    pub r_relaxed: f64,
    /// Fraction of the training after which a ramp is at `d_max`.
    pub d_relaxed: f64,
    /// Weight of the newest batch in the running averages.
    pub momentum: f64,
    /// Added to variances.
    pub eps: f64,
}

impl Default for BatchRenormConfig {
    /// The paper's steps 5 000, 40 000 and 25 000 of a training of 160 000.
    fn default() -> Self {
        Self {
            r_max: 3.0,
            d_max: 5.0,
            schedule: Relaxation::Ramp,
            warmup: 5.0 / 160.0,
            r_relaxed: 40.0 / 160.0,
            d_relaxed: 25.0 / 160.0,
            momentum: 0.01,
            eps: 1e-5,
        }
    }
}

impl BatchRenormConfig {
    /// R and D after a fraction `part` of the training.
    fn limits(&self, part: f64) -> [f64; 2] {
        let grown = |end: f64| match self.schedule {
            _ if part < self.warmup => 0.0,
            Relaxation::Ramp if part < end => (part - self.warmup) / (end - self.warmup),
            Relaxation::Ramp | Relaxation::Switch => 1.0,
        };
        [1.0 + (self.r_max - 1.0) * grown(self.r_relaxed), self.d_max * grown(self.d_relaxed)]
    }
}

/// Batch Renormalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct BatchRenorm {
    affine: Affine,
    config: BatchRenormConfig,
    running: RunningAverage,
    observed: Observation,
}

/// A [`BatchRenorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var` from `vb`.
///
/// # Errors
/// Parameters out of range.
pub fn batch_renorm(num_features: usize, config: BatchRenormConfig, vb: VarBuilder) -> Result<BatchRenorm> {
    BatchRenorm::check(&config).map_err(candle_core::Error::Msg)?;
    Ok(BatchRenorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        running: RunningAverage::new(RUNNING, num_features, Blend::Deviation { eps: config.eps }, &vb)?,
        config,
        observed: Observation::default(),
    })
}

impl BatchRenorm {
    /// r and d, given s_B.
    fn corrections(
        &self,
        batch: &Moments,
        deviation: &Tensor,
        running: &Moments,
        [r_max, d_max]: [f64; 2],
    ) -> Result<[Tensor; 2]> {
        let scale = self.affine.scale(&running.var)?;
        let r = (deviation * &scale)?.clamp(1.0 / r_max, r_max)?;
        let d = ((&batch.mean - &running.mean)? * &scale)?.clamp(-d_max, d_max)?;
        Ok([r, d])
    }

    /// y = gamma (r x̂ + d) + beta, given the map for r = 1 and d = 0.
    fn corrected(&self, plain: Coefficients, [r, d]: [Tensor; 2]) -> Result<Coefficients> {
        let shift = (&plain.map.shift + (self.affine.gamma() * &d)?)?;
        let map = ChannelMap { mean: plain.map.mean.clone(), slope: (&plain.map.slope * &r)?, shift };
        Ok(Coefficients::new(map, move |sums| {
            let Gradient { b, center, d: constant, mut parameters } = plain.gradient(sums)?;
            parameters[0] = ((&parameters[0] * &r)? + (&sums.g * &d)?)?;
            Ok(Gradient { b: (b * &r)?, center, d: (constant * &r)?, parameters })
        }))
    }
}

impl Norm for BatchRenorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(batch) = &input.moments else { return self.affine.constant(&self.running.now.get()) };
        let (count, call) = (input.count(), input.call);
        self.affine.refuse_one_value(input.shape, count)?;
        let taken = self.running.take(batch, count, self.config.momentum, call, self.affine.layer())?;
        let plain = self.affine.projected(batch, count)?;
        let limits = self.config.limits(call.progress.part());
        let Some(running) = taken.filter(|_| limits != [1.0, 0.0]) else {
            self.observed.set(batch, batch, count);
            return Ok(plain);
        };
        let deviation = (&batch.var + self.config.eps)?.sqrt()?;
        let [r, d] = self.corrections(batch, &deviation, &running.before, limits)?;
        // Mean and variance whose x̂ is r x̂_B + d.
        let deviation = (deviation / &r)?;
        let mean = (&batch.mean - (&d * &deviation)?)?;
        self.observed.set(batch, &Moments { mean, var: (deviation.sqr()? - self.config.eps)? }, count);
        self.corrected(plain, [r, d])
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::average(&self.running, &self.observed))
    }
}

module_t!(BatchRenorm);

impl Family for BatchRenorm {
    const NAME: &'static str = "brn";
    const ABOUT: &'static str = "Batch Renormalization: the batch's statistics, corrected towards running averages";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &RUNNING;
    type Config = BatchRenormConfig;

    fn idle(config: &Self::Config, _: bool) -> Vec<(&'static str, &'static str)> {
        let keys: &[&str] = if config.schedule == Relaxation::Ramp { &[] } else { &["r_relaxed", "d_relaxed"] };
        keys.iter().map(|key| (*key, "schedule is not ramp")).collect()
    }

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        for (key, value, least) in [("r_max", config.r_max, 1.0), ("d_max", config.d_max, 0.0)] {
            if !(value.is_finite() && value >= least) {
                return Err(format!("{key} = {value}: expected a number, at least {least}"));
            }
        }
        super::check_part("warmup", config.warmup)?;
        for (key, part) in [("r_relaxed", config.r_relaxed), ("d_relaxed", config.d_relaxed)] {
            super::check_part(key, part)?;
            if config.schedule == Relaxation::Ramp && part < config.warmup {
                return Err(format!("{key} = {part}: expected at least `warmup`, {}", config.warmup));
            }
        }
        Ok(())
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(batch_renorm(site.features, *config, site.vb)?))
    }
}
