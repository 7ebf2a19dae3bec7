//! Group Normalization (Wu & He, ECCV 2018, arXiv 1803.08494): the control without batch statistics.
//!
//! Each sample alone: mean and biased variance over a group of C/G channels and all positions;
//! y = gamma (x - mu)/sqrt(v + eps) + beta, gamma and beta per channel.
//! Remembers nothing; gradient through mu and v; inference and training are the same.
//! One value per group (one channel per group, 1x1 maps) has no variance: G is lowered to what divides C, and a group of
//! a single value is refused.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::registry::{Family, Site};
use super::state::StateTensor;
use super::{module_t, Affine, Coefficients, Gradient, Granularity, Input, Norm, Pass};
use crate::ops::Linear;

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
#[derive(Debug, Clone)]
pub struct GroupNorm {
    affine: Affine,
    groups: usize,
}

/// A [`GroupNorm`] for `num_features` channels: `weight` and `bias` from `vb`.
///
/// # Errors
/// `groups` 0.
pub fn group_norm(num_features: usize, config: GroupNormConfig, vb: VarBuilder) -> Result<GroupNorm> {
    GroupNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let groups = (1..=config.groups.min(num_features)).rev().find(|g| num_features.is_multiple_of(*g)).unwrap_or(1);
    Ok(GroupNorm { affine: Affine::new(num_features, config.eps, &vb)?, groups })
}

impl GroupNorm {
    /// Sums over the channels of a group of (N,C), back at every channel.
    fn grouped(groups: usize, per_channel: &Tensor) -> Result<Tensor> {
        let (n, c) = per_channel.dims2()?;
        let sums = per_channel.reshape((n, groups, c / groups))?.sum_keepdim(2)?;
        sums.broadcast_as((n, groups, c / groups))?.reshape((n, c))
    }
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
        let Some(own) = &input.moments else { candle_core::bail!("group normalization needs its input's moments") };
        let (groups, channels) = (self.groups, input.shape.dims()[1]);
        if input.count() * channels <= input.images() * groups {
            let (choice, instead) = ("a group of one channel", "use fewer groups");
            return Err(self.affine.undefined(input.shape, choice, instead));
        }
        let share = groups as f64 / channels as f64;
        let mean = Self::grouped(groups, &own.mean)?.affine(share, 0.0)?;
        let spread = (&own.var + (&own.mean - &mean)?.sqr()?)?;
        let scale = self.affine.scale(&Self::grouped(groups, &spread)?.affine(share, 0.0)?)?;
        let (gamma, pixels) = (self.affine.gamma(), input.count() / input.images());
        let map = Linear { mean: mean.clone(), slope: scale.broadcast_mul(&gamma)?, shift: self.affine.beta() };
        Ok(Coefficients::new(map, move |sums| {
            let along = (&sums.gx * &scale)?;
            let mean_over_group = |sums: &Tensor| {
                Self::grouped(groups, &sums.broadcast_mul(&gamma)?)?.affine(-share / pixels as f64, 0.0)
            };
            let b = (scale.sqr()? * mean_over_group(&along)?)?;
            let d = (&scale * mean_over_group(&sums.g)?)?;
            Ok(Gradient { b, center: mean.clone(), d, parameters: vec![along.sum(0)?, sums.g.sum(0)?] })
        }))
    }

    fn rule(&self) -> &'static str {
        "sample"
    }
}

module_t!(GroupNorm);

impl Family for GroupNorm {
    const NAME: &'static str = "gn";
    const ABOUT: &'static str = "Group Normalization: each sample alone, no batch statistics";
    const REFRESHES: bool = false;
    const STATE: &'static [StateTensor] = &[];
    type Config = GroupNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        match config.groups {
            0 => Err("groups = 0: expected at least 1".into()),
            _ => Ok(()),
        }
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(group_norm(site.features, *config, site.vb)?))
    }
}
