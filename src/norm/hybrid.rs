//! HybridBN (ICML 2025, after its authors' code): running and batch statistics, mixed with a learned weight per channel.
//!
//! Training: y = gamma (x - mu)/sqrt(v + eps) + beta with mu = (1 - a) m + a mu_B, v = (1 - a) w + a v_B, where m and w are the
//! running averages as they stood before this batch and a = sigmoid(theta), theta a parameter per channel.
//! Remembers: running averages of mu_B and of the unbiased variance, as BN does.
//! Gradient: m and w are constants, so BN's projection terms are scaled by a, around mu_B; to theta through mu and v,
//! a (1 - a) (dL/dmu (mu_B - m) + dL/dv (v_B - w)).
//! Inference: the running averages, constants.
//! Double-Forward: the batch's contribution to the averages is replaced; the mix uses the averages without it, as in training.
//! One value per channel (n = 1): refused, as in BN; v_B would be 0 whatever the input, and pull v down.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::{Blend, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Coefficients, Input, Moments, Norm, module_t};

/// Parameters of [`HybridBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HybridBatchNormConfig {
    /// Initial a.
    pub alpha: f64,
    /// Weight of the newest batch in the running averages.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
}

impl Default for HybridBatchNormConfig {
    fn default() -> Self {
        Self { alpha: 0.5, momentum: 0.1, eps: 1e-5 }
    }
}

/// HybridBN of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct HybridBatchNorm {
    affine: Affine,
    theta: Tensor,
    running: RunningAverage,
    momentum: f64,
    observed: Observation,
}

/// A [`HybridBatchNorm`] for `num_features` channels: `weight`, `bias`, `theta`, `running_mean`, `running_var` from `vb`.
///
/// # Errors
/// Parameters out of range.
pub fn hybrid_batch_norm(
    num_features: usize,
    config: HybridBatchNormConfig,
    vb: VarBuilder,
) -> Result<HybridBatchNorm> {
    HybridBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let theta = (config.alpha / (1.0 - config.alpha)).ln();
    Ok(HybridBatchNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        theta: vb.get_with_hints(num_features, "theta", Init::Const(theta))?,
        running: RunningAverage::new(RUNNING, num_features, Blend::Unbiased, &vb)?,
        momentum: config.momentum,
        observed: Observation::default(),
    })
}

impl HybridBatchNorm {
    /// The mix of both, and its gradient.
    fn mixed(&self, batch: &Moments, running: &Moments, count: usize) -> Result<Coefficients> {
        let a = sigmoid(&self.theta.detach())?;
        let apart = Moments { mean: (&batch.mean - &running.mean)?, var: (&batch.var - &running.var)? };
        let mean = (&running.mean + (&apart.mean * &a)?)?;
        let used = Moments { mean, var: (&running.var + (&apart.var * &a)?)? };
        self.observed.set(batch, &used, count);
        let plain = self.affine.shared(&used, count, batch.mean.clone(), a.clone())?;
        let scale = self.affine.scale(&used.var)?;
        Ok(Coefficients::new(plain.map.clone(), move |sums| {
            let mut gradient = plain.gradient(sums)?;
            // dL/dmu = -slope Σ g, dL/dv = -slope/(2 s²) Σ g (x - mu).
            let by_var = (((scale.sqr()? * &sums.gx)? * &apart.var)? * 0.5)?;
            let by_a = (((&sums.g * &apart.mean)? + by_var)? * &plain.map.slope)?;
            gradient.parameters.push((by_a * (&a * (&a - 1.0)?)?)?);
            Ok(gradient)
        }))
    }
}

impl Norm for HybridBatchNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let count = input.count();
        let plain = match &input.moments {
            None => self.affine.constant(&self.running.now.get())?,
            Some(batch) => {
                self.affine.refuse_one_value(input.shape, count)?;
                let (call, layer) = (input.call, self.affine.layer());
                if let Some(running) = self.running.take(batch, count, self.momentum, call, layer)? {
                    return self.mixed(batch, &running.before, count);
                }
                self.observed.set(batch, batch, count);
                self.affine.projected(batch, count)?
            }
        };
        // Inference, frozen or not, and the batch's own statistics: theta takes no part.
        let theta = self.theta.detach();
        Ok(Coefficients::new(plain.map.clone(), move |sums| {
            let mut gradient = plain.gradient(sums)?;
            gradient.parameters.push(theta.zeros_like()?);
            Ok(gradient)
        }))
    }

    fn parameters(&self) -> Vec<Tensor> {
        self.affine.parameters().into_iter().chain([&self.theta]).cloned().collect()
    }

    fn training_rule(&self) -> &'static str {
        "memory"
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::average(&self.running, &self.observed))
    }
}

module_t!(HybridBatchNorm);

impl Family for HybridBatchNorm {
    const NAME: &'static str = "hybrid";
    const ABOUT: &'static str = "HybridBN: running and batch statistics, mixed with a learned weight per channel";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &RUNNING;
    type Config = HybridBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        match config.alpha > 0.0 && config.alpha < 1.0 {
            true => Ok(()),
            false => Err(format!("alpha = {}: expected a number between 0 and 1, both excluded", config.alpha)),
        }
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(hybrid_batch_norm(site.features, *config, site.vb)?))
    }
}
