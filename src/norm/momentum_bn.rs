//! Momentum Batch Normalization (Yong et al., ECCV 2020), abbreviated MBN there; here MBN is another method.
//!
//! Training: mu <- L mu + (1 - L) mu_B, v <- L v + (1 - L) v_B, then y = gamma (x - mu)/sqrt(v + eps) + beta with those.
//! L grows from 0, which is BN, to 1 - q, q = min(N/m0, 1), N the images of the batch: in epoch t of T,
//! L = q^((T - t)/(T - 1)) - q. An epoch is the T-th part of the training, T = `epochs`, whatever the run's own epochs are.
//! Remembers: mu and v; a second pair of averages for inference, with the weight 1 - (1 - `momentum`)^(N/m0) of the newest
//! batch. All variances are biased.
//! Gradient: the older averages are constants, so BN's projection terms are scaled by 1 - L, around mu_B.
//! Inference: the second pair, constants.
//! Double-Forward: the batch's contribution to both pairs is replaced; the updated first pair normalizes.
//! One value per channel (n = 1): refused; v_B is always 0, and v does not include the spread between batches.

use std::sync::Arc;

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::{Blend, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Coefficients, Input, Norm, module_t};

/// Parameters of [`MomentumBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MomentumBatchNormConfig {
    /// m0: from this batch size on it is BN.
    pub ideal_batch_size: usize,
    /// T: L is constant within each T-th of the training.
    pub epochs: usize,
    /// Weight of the newest `ideal_batch_size` images in the averages for inference.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
}

impl Default for MomentumBatchNormConfig {
    fn default() -> Self {
        Self { ideal_batch_size: 32, epochs: 200, momentum: 0.1, eps: 1e-5 }
    }
}

impl MomentumBatchNormConfig {
    /// L for a batch of `images` after a fraction `part` of the training.
    fn older(&self, images: usize, part: f64) -> f64 {
        let q = (images as f64 / self.ideal_batch_size as f64).min(1.0);
        let (epochs, last) = (self.epochs as f64, self.epochs as f64 - 1.0);
        let epoch = (part * epochs).floor().min(last);
        q.powf((last - epoch) / last) - q
    }

    /// The weight of a batch of `images` in the averages for inference.
    fn newest(&self, images: usize) -> f64 {
        1.0 - (1.0 - self.momentum).powf(images as f64 / self.ideal_batch_size as f64)
    }
}

/// Momentum Batch Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct MomentumBatchNorm {
    affine: Affine,
    config: MomentumBatchNormConfig,
    moving: RunningAverage,
    running: RunningAverage,
    observed: Observation,
}

/// The averages that normalize in training.
const MOVING: [StateTensor; 2] =
    [StateTensor::training("momentum_mean", 0.0), StateTensor::training("momentum_var", 1.0)];

/// A [`MomentumBatchNorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var` and the
/// training state from `vb`.
///
/// # Errors
/// Parameters out of range.
pub fn momentum_batch_norm(
    num_features: usize,
    config: MomentumBatchNormConfig,
    vb: VarBuilder,
) -> Result<MomentumBatchNorm> {
    MomentumBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    Ok(MomentumBatchNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        moving: RunningAverage::new(MOVING, num_features, Blend::Biased, &vb)?,
        running: RunningAverage::new(RUNNING, num_features, Blend::Biased, &vb)?,
        config,
        observed: Observation::default(),
    })
}

impl Norm for MomentumBatchNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(batch) = &input.moments else { return self.affine.constant(&self.running.now.get()) };
        let (count, images, call) = (input.count(), input.images(), input.call);
        self.affine.refuse_one_value(input.shape, count)?;
        let (layer, newest) = (self.affine.layer(), 1.0 - self.config.older(images, call.progress.part()));
        self.running.take(batch, count, self.config.newest(images), call, layer)?;
        let Some(moving) = self.moving.take(batch, count, newest, call, layer)? else {
            self.observed.set(batch, batch, count);
            return self.affine.projected(batch, count);
        };
        self.observed.set(batch, &moving.after, count);
        let share = batch.var.ones_like()?.affine(newest, 0.0)?;
        self.affine.shared(&moving.after, count, batch.mean.clone(), share)
    }

    fn training_rule(&self) -> &'static str {
        "memory"
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::average(&self.running, &self.observed))
    }
}

module_t!(MomentumBatchNorm);

impl Family for MomentumBatchNorm {
    const NAME: &'static str = "momentum-bn";
    const ABOUT: &'static str = "Momentum Batch Normalization: moving averages, their momentum growing during training";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &[RUNNING[0], RUNNING[1], MOVING[0], MOVING[1]];
    type Config = MomentumBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        if config.ideal_batch_size == 0 {
            return Err("ideal_batch_size = 0: expected at least 1 image".into());
        }
        match config.epochs {
            2.. => Ok(()),
            epochs => Err(format!("epochs = {epochs}: expected at least 2, the first of which is BN")),
        }
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(momentum_batch_norm(site.features, *config, site.vb)?))
    }
}
