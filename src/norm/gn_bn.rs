//! Group and Batch Normalization in one (Summers & Dinneen, "Four Things Everyone Should Know to Improve Batch Normalization",
//! ICLR 2020, arXiv 1906.03548).
//!
//! Training: y = gamma (x - mu)/sqrt(v + eps) + beta, mu and biased v over `images` images, a group of channels and all
//! positions. With one image it is GN, with one channel per group and the whole batch BN. A remainder of images is a smaller
//! group; a single image left over joins the group before it.
//! Remembers: running averages of E\[x\] and E\[x²\] of the whole batch and each group of channels, as mean and variance.
//! Gradient: through mu and v, within the group.
//! Inference: the running averages, mixed with the image's own moments at weight `weighing`.
//! Double-Forward: the refresh replaces the batch's contribution to the running averages.
//! A group of a single value (one image, one channel, one position): refused.

use std::sync::Arc;

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::groups::{GROUPS, channels_of_group, check_groups, normalized};
use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::{Blend, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Coefficients, Granularity, Input, Moments, Norm, Pass, module_t, remembered};
use crate::ops::{self, Groups};

/// Parameters of [`BatchGroupNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchGroupNormConfig {
    /// Images per group.
    pub images: usize,
    /// Number of groups of channels; a layer uses the largest divisor of its channels that is not above this.
    pub groups: usize,
    /// Channels per group, a divisor of the channels of every layer. 0: as `groups` says.
    pub group_size: usize,
    /// Weight of the image's own moments in inference, 0 to 1; to be chosen on validation images.
    pub weighing: f64,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest batch in the running averages.
    pub momentum: f64,
}

impl Default for BatchGroupNormConfig {
    fn default() -> Self {
        Self { images: 2, groups: GROUPS, group_size: 0, weighing: 0.0, eps: 1e-5, momentum: 0.01 }
    }
}

/// Normalization by groups of images and channels of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct BatchGroupNorm {
    affine: Affine,
    config: BatchGroupNormConfig,
    /// Channels per group.
    channels: usize,
    running: RunningAverage,
    observed: Observation,
}

/// A [`BatchGroupNorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var` from `vb`.
///
/// # Errors
/// Parameters out of range, a `group_size` that does not divide the channels.
pub fn batch_group_norm(num_features: usize, config: BatchGroupNormConfig, vb: VarBuilder) -> Result<BatchGroupNorm> {
    BatchGroupNorm::check(&config).map_err(candle_core::Error::Msg)?;
    Ok(BatchGroupNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        channels: channels_of_group(num_features, config.groups, config.group_size, &vb.prefix())?,
        running: RunningAverage::new(RUNNING, num_features, Blend::Total, &vb)?,
        config,
        observed: Observation::default(),
    })
}

impl BatchGroupNorm {
    /// Moments (N,C) of the groups of channels of every image.
    fn of_images(&self, own: &Moments) -> Result<Moments> {
        ops::group_moments(own, &Groups::new(own.mean.dim(0)?, 1, self.channels))
    }

    /// Moments (C) of the groups of channels.
    fn of_channels(&self, all: &Moments) -> Result<Moments> {
        let pooled = self.of_images(&Moments { mean: all.mean.unsqueeze(0)?, var: all.var.unsqueeze(0)? })?;
        Ok(Moments { mean: pooled.mean.squeeze(0)?, var: pooled.var.squeeze(0)? })
    }
}

impl Norm for BatchGroupNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn granularity(&self) -> Granularity {
        Granularity::Image
    }

    fn observes(&self, pass: Pass) -> bool {
        pass != Pass::Eval || self.config.weighing > 0.0
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(own) = &input.moments else { return self.affine.constant(&self.running.now.get()) };
        if input.call.pass == Pass::Eval {
            let own = self.of_images(own)?;
            return self.affine.constant(&remembered::weighed(&self.running.now.get(), &own, self.config.weighing)?);
        }
        let groups = Groups::new(input.images(), self.config.images, self.channels);
        let coefficients = normalized(&self.affine, own, groups, input.shape)?;
        let (batch, count) = (self.of_channels(&own.over_images()?)?, input.count());
        self.running.take(&batch, count, self.config.momentum, input.call, self.affine.layer())?;
        self.observed.set(&batch, &batch, count);
        Ok(coefficients)
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::average(&self.running, &self.observed))
    }

    fn inference_form(&self, moments: &Moments) -> Result<Moments> {
        match moments.mean.rank() {
            1 => self.of_channels(moments),
            _ => self.of_images(moments),
        }
    }
}

module_t!(BatchGroupNorm);

impl Family for BatchGroupNorm {
    const NAME: &'static str = "gn-bn";
    const ABOUT: &'static str = "Group and Batch Normalization in one: groups of images and channels";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &RUNNING;
    type Config = BatchGroupNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        check_groups(config.groups, config.group_size)?;
        match (config.images, config.weighing) {
            (0, _) => Err("images = 0: expected at least 1".into()),
            (_, weighing) if !(0.0..=1.0).contains(&weighing) => Err(format!("weighing = {weighing}: expected 0 to 1")),
            _ => Ok(()),
        }
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(batch_group_norm(site.features, *config, site.vb)?))
    }
}
