//! Group Normalization (Wu & He, ECCV 2018, arXiv 1803.08494): the control without batch statistics.
//!
//! Each image alone: mean and biased variance over a group of channels and all positions;
//! y = gamma (x - mu)/sqrt(v + eps) + beta, gamma and beta per channel.
//! Remembers nothing; gradient through mu and v; inference and training are the same.
//! A group of a single value (one channel per group, 1x1 maps) has no variance: refused.

use std::sync::Arc;

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::groups::{GROUPS, channels_of_group, check_groups, normalized};
use super::registry::{Family, Site};
use super::state::StateTensor;
use super::{Affine, Coefficients, Granularity, Input, Norm, Pass, module_t};
use crate::ops::Groups;

/// Parameters of [`GroupNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupNormConfig {
    /// Number of groups; a layer uses the largest divisor of its channels that is not above this (20 channels, 8 groups: 5).
    pub groups: usize,
    /// Channels per group, a divisor of the channels of every layer. 0: as `groups` says.
    #[serde(skip_serializing_if = "is_zero")]
    pub group_size: usize,
    /// Added to the variance.
    pub eps: f64,
}

/// Added later, so it is not written where it is not given: runs without it keep their names.
fn is_zero(group_size: &usize) -> bool {
    *group_size == 0
}

impl Default for GroupNormConfig {
    fn default() -> Self {
        Self { groups: GROUPS, group_size: 0, eps: 1e-5 }
    }
}

/// Group Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct GroupNorm {
    affine: Affine,
    /// Channels per group.
    channels: usize,
}

/// A [`GroupNorm`] for `num_features` channels: `weight` and `bias` from `vb`.
///
/// # Errors
/// Parameters out of range, a `group_size` that does not divide the channels.
pub fn group_norm(num_features: usize, config: GroupNormConfig, vb: VarBuilder) -> Result<GroupNorm> {
    GroupNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let channels = channels_of_group(num_features, config.groups, config.group_size, &vb.prefix())?;
    Ok(GroupNorm { affine: Affine::new(num_features, config.eps, &vb)?, channels })
}

impl Norm for GroupNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn granularity(&self) -> Granularity {
        Granularity::Image
    }

    fn observes(&self, _: Pass) -> bool {
        true
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let groups = Groups::new(input.images(), 1, self.channels);
        normalized(&self.affine, input.own("group normalization")?, groups, input.shape)
    }
}

module_t!(GroupNorm);

impl Family for GroupNorm {
    const NAME: &'static str = "gn";
    const ABOUT: &'static str = "Group Normalization: each image alone, groups of channels";
    const REFRESHES: bool = false;
    const STATE: &'static [StateTensor] = &[];
    type Config = GroupNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        check_groups(config.groups, config.group_size)
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(group_norm(site.features, *config, site.vb)?))
    }
}
