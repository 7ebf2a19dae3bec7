//! Layer Normalization (Ba, Kiros & Hinton 2016, arXiv 1607.06450), in the form usual for convolutional networks: Group
//! Normalization with a single group.
//!
//! Each image alone: mean and biased variance over all channels and positions; gamma and beta per *channel*, where layers for
//! sequences have them per value.
//! Remembers nothing; gradient through mu and v; inference and training are the same.
//! One value per channel: defined, the channels are the values; an image of a single value is refused.

use std::sync::Arc;

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::registry::{Family, Site};
use super::state::StateTensor;
use super::{GroupNorm, GroupNormConfig, Norm, group_norm};

/// Parameters of [`layer_norm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerNormConfig {
    /// Added to the variance.
    pub eps: f64,
}

impl Default for LayerNormConfig {
    fn default() -> Self {
        Self { eps: 1e-5 }
    }
}

/// A [`GroupNorm`] of one group: `weight` and `bias` from `vb`.
///
/// # Errors
/// Parameters out of range; a tensor that `vb` lacks or has in another shape.
pub fn layer_norm(num_features: usize, config: LayerNormConfig, vb: VarBuilder) -> Result<GroupNorm> {
    group_norm(num_features, GroupNormConfig { groups: 1, group_size: 0, eps: config.eps }, vb)
}

/// The entry in [`super::NORMS`]; its layers are [`GroupNorm`]s.
pub enum LayerNorm {}

impl Family for LayerNorm {
    const NAME: &'static str = "ln";
    const ABOUT: &'static str = "Layer Normalization: each image alone, all channels together";
    const REFRESHES: bool = false;
    const STATE: &'static [StateTensor] = &[];
    type Config = LayerNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(layer_norm(site.features, *config, site.vb)?))
    }
}
