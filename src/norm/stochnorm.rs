//! Stochastic Normalization (Kou et al., NeurIPS 2020).
//!
//! Training: y = gamma ((1 - z) x̂_0 + z x̂_1) + beta, x̂_0 normalized by the running averages as they stood before this batch,
//! x̂_1 by the batch; z per channel is drawn anew for each batch, 1 with probability `p`.
//! Remembers: running averages of mu_B and of the unbiased variance, as BN does; what z is drawn from.
//! z is a function of a number drawn for the layer with the initial weights (so of the run's seed and the layer's name) and
//! of how many batches the layer was trained on; both are state, so runs are reproducible and resume exactly.
//! Gradient: the running averages are constants; through mu_B and v_B where z is 1.
//! Starts as BN, for `warmup` of the training, while the averages have seen too little. (The original starts from pretrained
//! networks.)
//! Inference: the running averages, constants.
//! Double-Forward: the batch's contribution to the averages is replaced, with the z and the averages of its training pass.
//! One value per channel (n = 1): refused, as in BN, since x̂_1 is 0.

use std::sync::Arc;

use candle_core::{Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::{Blend, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Coefficients, Input, Moments, Norm, Pass, module_t};
use crate::{ops, rng};

/// Parameters of [`StochasticNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StochasticNormConfig {
    /// Probability that a channel uses the batch's statistics.
    pub p: f64,
    /// Fraction of the training that is plain BN.
    pub warmup: f64,
    /// Weight of the newest batch in the running averages.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
}

impl Default for StochasticNormConfig {
    fn default() -> Self {
        Self { p: 0.5, warmup: 0.1, momentum: 0.1, eps: 1e-5 }
    }
}

/// Stochastic Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct StochasticNorm {
    affine: Affine,
    config: StochasticNormConfig,
    running: RunningAverage,
    draws: Draws,
    observed: Observation,
}

const DRAWS: [StateTensor; 2] = [StateTensor::training("stoch_key", 0.0), StateTensor::training("stoch_batches", 0.0)];

/// What z is drawn from: the layer's own key and the number of batches it was trained on, one value each.
#[derive(Debug, Clone)]
struct Draws {
    key: Var,
    batches: Var,
}

/// A [`StochasticNorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var` and the training state
/// from `vb`.
///
/// # Errors
/// Parameters out of range.
pub fn stochastic_norm(num_features: usize, config: StochasticNormConfig, vb: VarBuilder) -> Result<StochasticNorm> {
    StochasticNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let [key, batches] = DRAWS;
    let draws = Draws { key: key.drawn(1, Init::Uniform { lo: 0.0, up: 1.0 }, &vb)?, batches: batches.create(1, &vb)? };
    Ok(StochasticNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        running: RunningAverage::new(RUNNING, num_features, Blend::Unbiased, &vb)?,
        draws,
        config,
        observed: Observation::default(),
    })
}

impl Draws {
    /// The index of the pass's batch, from 0; a training pass adds 1 to the count.
    fn batch(&self, pass: Pass) -> Result<u64> {
        let seen = match pass {
            Pass::Train => return Ok(ops::count_up(&self.batches)? as u64),
            _ => number(&self.batches)? as u64,
        };
        let age = if let Pass::Refresh { age } = pass { age as u64 } else { 0 };
        Ok(seen.saturating_sub(1 + age))
    }

    /// z of that batch, one u8 per channel of `like`.
    fn of(&self, batch: u64, p: f64, like: &Tensor) -> Result<Tensor> {
        let mut stream = rng::stream(number(&self.key)?.to_bits(), &format!("stochnorm/{batch}"));
        let z: Vec<u8> = (0..like.elem_count()).map(|_| u8::from(stream.uniform() < p)).collect();
        Tensor::from_vec(z, like.shape(), like.device())
    }
}

/// The value of a tensor of one element.
fn number(tensor: &Var) -> Result<f64> {
    tensor.as_detached_tensor().to_dtype(candle_core::DType::F64)?.squeeze(0)?.to_scalar()
}

impl Norm for StochasticNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(batch) = &input.moments else { return self.affine.constant(&self.running.now.get()) };
        let (count, call, config) = (input.count(), input.call, &self.config);
        self.affine.refuse_one_value(input.shape, count)?;
        let taken = self.running.take(batch, count, config.momentum, call, self.affine.layer())?;
        let seen = self.draws.batch(call.pass)?;
        let Some(running) = taken.filter(|_| config.p < 1.0 && call.progress.part() >= config.warmup) else {
            self.observed.set(batch, batch, count);
            return self.affine.projected(batch, count);
        };
        let z = self.draws.of(seen, config.p, &batch.mean)?;
        let mean = z.where_cond(&batch.mean, &running.before.mean)?;
        let used = Moments { mean, var: z.where_cond(&batch.var, &running.before.var)? };
        self.observed.set(batch, &used, count);
        self.affine.shared(&used, count, batch.mean.clone(), z.to_dtype(batch.mean.dtype())?)
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::average(&self.running, &self.observed))
    }
}

module_t!(StochasticNorm);

impl Family for StochasticNorm {
    const NAME: &'static str = "stochnorm";
    const ABOUT: &'static str = "Stochastic Normalization: batch or running statistics, chosen at random per channel";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &[RUNNING[0], RUNNING[1], DRAWS[0], DRAWS[1]];
    type Config = StochasticNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        super::check_part("warmup", config.warmup)?;
        match (0.0..=1.0).contains(&config.p) {
            true => Ok(()),
            false => Err(format!("p = {}: expected a probability, 0 to 1", config.p)),
        }
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(stochastic_norm(site.features, *config, site.vb)?))
    }
}
