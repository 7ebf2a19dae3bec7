//! Deferred Batch Normalization (torchgpipe): BN for gradient accumulation.
//!
//! Training: each micro-batch is normalized by itself, as in BN. Mean and mean square are pooled over all values of an
//! update's micro-batches, and enter the running averages once per update, r += a (s - r) with a = `momentum`, with the
//! *biased* variance of all of them together. Where the call does not say
//! how many micro-batches an update has, each counts as one update.
//! Remembers: the running averages. The pool lives for one update and checkpoints are written between updates, so resuming is
//! exact.
//! Gradient: through mu_B and v_B of the micro-batch, as in BN. Inference: the running averages, constants.
//! Double-Forward: the refreshes of an update's micro-batches are pooled the same way; the last one replaces the update's
//! contribution.
//! One value per channel (n = 1): refused, as in BN.

use std::sync::{Arc, Mutex};

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::{Blend, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Call, Coefficients, Input, Moments, Norm, Pass, Progress, module_t};
use crate::ops;

/// Parameters of [`DeferredBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeferredBatchNormConfig {
    /// Weight of the newest update in the running averages.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
}

impl Default for DeferredBatchNormConfig {
    fn default() -> Self {
        Self { momentum: 0.1, eps: 1e-5 }
    }
}

/// Deferred Batch Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct DeferredBatchNorm {
    affine: Affine,
    running: RunningAverage,
    momentum: f64,
    pool: Arc<Mutex<Option<UpdateMoments>>>,
    observed: Observation,
}

/// The pooled moments of an update's micro-batches so far.
#[derive(Debug)]
struct UpdateMoments {
    moments: Moments,
    /// Values per channel.
    count: usize,
    parts: usize,
}

/// A [`DeferredBatchNorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var` from `vb`.
///
/// # Errors
/// A tensor that `vb` lacks or has in another shape.
pub fn deferred_batch_norm(
    num_features: usize,
    config: DeferredBatchNormConfig,
    vb: VarBuilder,
) -> Result<DeferredBatchNorm> {
    DeferredBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    Ok(DeferredBatchNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        running: RunningAverage::new(RUNNING, num_features, Blend::Biased, &vb)?,
        momentum: config.momentum,
        pool: Arc::default(),
        observed: Observation::default(),
    })
}

impl UpdateMoments {
    /// Takes in one more micro-batch.
    fn add(&mut self, batch: &Moments, count: usize) -> Result<()> {
        self.count += count;
        self.parts += 1;
        let a = count as f64 / self.count as f64;
        ops::blend_moments(&self.moments, batch, a, 1.0, a * (1.0 - a))
    }
}

impl DeferredBatchNorm {
    /// Pools the micro-batch with the others of its update; with the last one, the running averages take them in.
    fn take(&self, batch: &Moments, count: usize, call: Call) -> Result<()> {
        let parts = call.progress.batches_per_update();
        let (first, pass) = match call.pass {
            Pass::Train => (false, Pass::Train),
            // The running average counts ages in updates; a new pool starts with the oldest micro-batch of one.
            Pass::Refresh { age } => (age % parts == parts - 1, Pass::Refresh { age: age / parts }),
            _ => return Ok(()),
        };
        let mut pool = self.pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match pool.as_mut().filter(|_| !first) {
            Some(pool) => pool.add(batch, count)?,
            None => *pool = Some(UpdateMoments { moments: batch.copy()?, count, parts: 1 }),
        }
        if let Some(whole) = pool.take_if(|pool| pool.parts >= parts) {
            let progress = Progress { parts: call.progress.parts / parts, ..call.progress };
            let call = Call { pass, progress };
            self.running.take(&whole.moments, whole.count, self.momentum, call, self.affine.layer())?;
        }
        Ok(())
    }
}

impl Norm for DeferredBatchNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(batch) = &input.moments else { return self.affine.constant(&self.running.now.get()) };
        let count = input.count();
        self.affine.refuse_one_value(input.shape, count)?;
        self.take(batch, count, input.call)?;
        self.observed.set(batch, batch, count);
        self.affine.projected(batch, count)
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::average(&self.running, &self.observed))
    }
}

module_t!(DeferredBatchNorm);

impl Family for DeferredBatchNorm {
    const NAME: &'static str = "deferred";
    const ABOUT: &'static str = "Deferred Batch Normalization: BN with running averages updated once per weight update";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &RUNNING;
    type Config = DeferredBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(deferred_batch_norm(site.features, *config, site.vb)?))
    }
}
