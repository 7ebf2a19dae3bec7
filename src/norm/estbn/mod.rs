//! Batch-Channel Normalization with estimated statistics (Qiao, Wang, Liu, Shen & Yuille, arXiv 1911.09738).
//!
//! z = gamma_1 (x - m)/sqrt(v + eps) + beta_1 with running averages m, v that take in the batch *before* they are used:
//! v += a (mean((x - m)²) - v), m += a (mu_B - m), a = `momentum`, m the old one in the first of them. Then group
//! normalization of z, each image alone: y = gamma (z - mu)/sqrt(v_z + eps) + beta.
//! Remembers: m and v. Gradient: m and v are constants; through the groups' mu and v_z as in GN.
//! Inference: the same with m and v as they stand. It is meant for standardized weights, which nothing here enforces.
//! One value per channel (n = 1): defined; a group of a single value is refused, as in GN.

mod passage;

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::groups::{GROUPS, channels_of_group, check_groups, refuse_one_value};
use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::MomentVars;
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Coefficients, Gradient, Granularity, Input, Moments, Norm, Pass, module_t};
use crate::ops::{self, ChannelMap, Groups, Sums, from_host, to_host};
use passage::Passage;

/// Parameters of [`EstimatedBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EstimatedBatchNormConfig {
    /// Number of groups; a layer uses the largest divisor of its channels that is not above this.
    pub groups: usize,
    /// Channels per group, a divisor of the channels of every layer. 0: as `groups` says.
    pub group_size: usize,
    /// Added to both variances.
    pub eps: f64,
    /// Weight a of the newest batch in the running averages.
    pub momentum: f64,
}

impl Default for EstimatedBatchNormConfig {
    fn default() -> Self {
        Self { groups: GROUPS, group_size: 0, eps: 1e-5, momentum: 0.01 }
    }
}

/// Batch-Channel Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct EstimatedBatchNorm {
    affine: Affine,
    /// gamma_1 and beta_1.
    first: [Tensor; 2],
    config: EstimatedBatchNormConfig,
    /// Channels per group.
    channels: usize,
    running: MomentVars,
    observed: Observation,
}

/// An [`EstimatedBatchNorm`] for `num_features` channels: `weight`, `bias`, `first_weight`, `first_bias`, `running_mean` and
/// `running_var` from `vb`.
///
/// # Errors
/// Parameters out of range, a `group_size` that does not divide the channels.
pub fn estimated_batch_norm(
    num_features: usize,
    config: EstimatedBatchNormConfig,
    vb: VarBuilder,
) -> Result<EstimatedBatchNorm> {
    EstimatedBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let first = |name, value| vb.get_with_hints(num_features, name, Init::Const(value));
    Ok(EstimatedBatchNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        first: [first("first_weight", 1.0)?, first("first_bias", 0.0)?],
        channels: channels_of_group(num_features, config.groups, config.group_size, &vb.prefix())?,
        running: MomentVars::new(RUNNING, num_features, &vb)?,
        config,
        observed: Observation::default(),
    })
}

impl EstimatedBatchNorm {
    /// The mean and variance that the first normalization uses; in training, the averages take in the batch first.
    fn estimate(&self, batch: &Moments, pass: Pass) -> Result<Moments> {
        match pass {
            Pass::Train => {
                let a = self.config.momentum;
                ops::blend_moments(&self.running.get(), batch, a, 1.0, a)?;
                self.running.get().copy()
            }
            Pass::Batch => Ok(batch.clone()),
            _ => self.running.get().copy(),
        }
    }
}

impl Norm for EstimatedBatchNorm {
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
        let own = input.own("batch-channel normalization")?;
        let groups = Groups::new(input.images(), 1, self.channels);
        refuse_one_value(&self.affine, &groups, input.shape)?;
        if input.call.pass == Pass::Batch {
            self.affine.refuse_one_value(input.shape, input.count())?;
        }
        let batch = own.over_images()?;
        let estimate = self.estimate(&batch, input.call.pass)?;
        self.observed.set(&batch, &estimate, input.count());
        let parameters = [to_host(&self.first[0])?, to_host(&self.first[1])?, to_host(&self.affine.gamma())?];
        let pixels = input.count() / input.images();
        let passage = Passage::new(own.to_host()?, estimate.to_host()?, parameters, groups, (pixels, self.config.eps));
        let (slope, shift) = passage.map(&to_host(&self.affine.beta())?);
        let (shape, like, center) = (own.mean.shape().clone(), own.mean.clone(), estimate.mean);
        let tensor = move |values: Vec<f64>| from_host(values, &shape, &like);
        let map = ChannelMap { mean: center.clone(), slope: tensor(slope)?, shift: tensor(shift)? };
        Ok(Coefficients::new(map, move |Sums { g, gx }| {
            let ([b, d], parameters) = passage.gradient(&to_host(g)?, &to_host(gx)?);
            let parameters = parameters.into_iter().map(|values| from_host(values, center.shape(), &center));
            let parameters = parameters.collect::<Result<_>>()?;
            Ok(Gradient { b: tensor(b)?, center: center.clone(), d: tensor(d)?, parameters })
        }))
    }

    fn parameters(&self) -> Vec<Tensor> {
        self.affine.parameters().into_iter().chain(&self.first).cloned().collect()
    }

    fn training_rule(&self) -> &'static str {
        "ema"
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::unrefreshed(&self.running, &self.observed))
    }

    fn infers_by_map(&self) -> bool {
        false
    }
}

module_t!(EstimatedBatchNorm);

impl Family for EstimatedBatchNorm {
    const NAME: &'static str = "estbn";
    const ABOUT: &'static str = "Batch-Channel Normalization: running averages, then groups of channels";
    const REFRESHES: bool = false;
    const STATE: &'static [StateTensor] = &RUNNING;
    type Config = EstimatedBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        check_groups(config.groups, config.group_size)
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(estimated_batch_norm(site.features, *config, site.vb)?))
    }
}
