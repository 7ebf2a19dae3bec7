//! Instance Normalization (Ulyanov, Vedaldi & Lempitsky 2016, arXiv 1607.08022): Group Normalization with one channel per
//! group.
//!
//! Each image and channel alone: mean and biased variance over the positions; gamma and beta per channel.
//! Remembers nothing; gradient through mu and v; inference and training are the same.
//! One position (fully connected layers, maps of 1x1): refused. The variance of one value is 0, and the output would be
//! beta whatever the input.

use std::sync::Arc;

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::groups::GROUPS;
use super::registry::{Family, Site};
use super::state::StateTensor;
use super::{GroupNorm, GroupNormConfig, Norm, group_norm};

/// Parameters of [`instance_norm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceNormConfig {
    /// Added to the variance.
    pub eps: f64,
}

impl Default for InstanceNormConfig {
    fn default() -> Self {
        Self { eps: 1e-5 }
    }
}

/// A [`GroupNorm`] of one channel per group: `weight` and `bias` from `vb`.
///
/// # Errors
/// Parameters out of range; a tensor that `vb` lacks or has in another shape.
pub fn instance_norm(num_features: usize, config: InstanceNormConfig, vb: VarBuilder) -> Result<GroupNorm> {
    group_norm(num_features, GroupNormConfig { groups: GROUPS, group_size: 1, eps: config.eps }, vb)
}

/// The entry in [`super::NORMS`]; its layers are [`GroupNorm`]s.
pub enum InstanceNorm {}

impl Family for InstanceNorm {
    const NAME: &'static str = "in";
    const ABOUT: &'static str = "Instance Normalization: each image and channel alone";
    const REFRESHES: bool = false;
    const STATE: &'static [StateTensor] = &[];
    type Config = InstanceNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(instance_norm(site.features, *config, site.vb)?))
    }
}
