//! Group Normalization (Wu & He, ECCV 2018, arXiv 1803.08494): the control without batch statistics.
//!
//! Each sample alone: mean and biased variance over a group of C/G channels and all positions;
//! y = gamma (x - mu)/sqrt(v + eps) + beta, gamma and beta per channel.
//! Remembers nothing; gradient through mu and v; inference and training are the same.
//! One value per group (one channel per group, 1x1 maps) has no variance: G is lowered to what divides C, and a group of
//! a single value is refused.

use std::sync::Arc;

use candle_core::{ModuleT, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::affine::Affine;
use super::registry::Family;
use super::{Form, Norm, NormError, Pass, SampleStatistics, Source};

/// Parameters of [`GroupNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupNormConfig {
    /// Groups; a layer uses the largest divisor of its channels that is not above this (20 channels, 8 groups: 5).
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
}

impl Default for GroupNormConfig {
    fn default() -> Self {
        Self { groups: 8, eps: 1e-5 }
    }
}

/// Group Normalization of (N,C,H,W) or (N,C).
#[derive(Debug)]
pub struct GroupNorm {
    affine: Affine,
    groups: usize,
    eps: f64,
}

/// A [`GroupNorm`] for `num_features` channels: `weight` and `bias` from `vb`.
///
/// # Errors
/// `groups` 0.
pub fn group_norm(num_features: usize, config: GroupNormConfig, vb: VarBuilder) -> Result<GroupNorm> {
    GroupNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let groups = (1..=config.groups.min(num_features)).rev().find(|g| num_features.is_multiple_of(*g)).unwrap_or(1);
    Ok(GroupNorm { affine: Affine::new(num_features, config.eps, &vb)?, groups, eps: config.eps })
}

impl SampleStatistics for GroupNorm {
    fn groups(&self, x: &Shape) -> Result<usize> {
        self.affine.count(x)?;
        if x.elem_count() > x.dims()[0] * self.groups {
            return Ok(self.groups);
        }
        let (layer, shape) = (self.affine.layer.clone(), x.clone());
        let (choice, instead) = ("a group of one channel", "use fewer groups");
        Err(NormError::Undefined { layer, shape, choice, instead }.into())
    }
}

impl Norm for GroupNorm {
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let grouped = x.reshape((x.dim(0)?, SampleStatistics::groups(self, x.shape())?, ()))?;
        let centred = grouped.broadcast_sub(&grouped.mean_keepdim(2)?)?;
        let std = (centred.sqr()?.mean_keepdim(2)? + self.eps)?.sqrt()?;
        let normalized = centred.broadcast_div(&std)?.reshape(x.shape())?;
        let (gamma, beta) = self.affine.parameters(pass);
        let per_channel: &[usize] =
            if x.rank() == 4 { &[1, gamma.elem_count(), 1, 1] } else { &[1, gamma.elem_count()] };
        normalized.broadcast_mul(&gamma.reshape(per_channel)?)?.broadcast_add(&beta.reshape(per_channel)?)
    }

    fn rule(&self) -> &'static str {
        "sample"
    }

    fn form(&self) -> Option<Form<'_>> {
        Some(self.affine.form(Source::Sample(self)))
    }
}

impl ModuleT for GroupNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(x, if train { Pass::Train } else { Pass::Eval })
    }
}

impl Family for GroupNorm {
    const NAME: &'static str = "gn";
    const ABOUT: &'static str = "Group Normalization: each sample alone, no batch statistics";
    const REFRESHES: bool = false;
    type Config = GroupNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        match config.groups {
            0 => Err("groups = 0: expected at least 1".into()),
            _ => Ok(()),
        }
    }

    fn build(features: usize, config: &Self::Config, vb: VarBuilder) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(group_norm(features, *config, vb)?))
    }
}
