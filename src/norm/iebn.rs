//! Instance Enhancement Batch Normalization (Liang, Huang, Liang & Yang, AAAI 2020, arXiv 1908.04008).
//!
//! Training: y = a gamma (x - mu_B)/sqrt(v_B + eps) + beta, BN with a gate a = sigmoid(w m + b) for each image and channel,
//! m the mean of that image and channel; w starts at 0, b at -1.
//! Remembers: what BN does. Gradient: BN's with a g in place of g, and through m; w and b are parameters, two more per channel.
//! Inference: the running averages, and each image's own gates: not an affine map, so it does not export to plain BatchNorm.
//! Double-Forward: as BN. One value per channel (n = 1): refused, as BN.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::registry::{Family, Site};
use super::state::{RUNNING, StateTensor};
use super::{
    Affine, BatchNorm, BatchNormConfig, BatchStatistics, Coefficients, Gradient, Granularity, Input, Norm, Pass,
    batch_norm, module_t,
};
use crate::ops::{ChannelMap, Sums, sum_images};

/// Parameters of [`InstanceEnhancementBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceEnhancementBatchNormConfig {
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest batch in the running averages.
    pub momentum: f64,
    /// Initial b; with -1 every gate starts at 0.27.
    pub gate_bias: f64,
}

impl Default for InstanceEnhancementBatchNormConfig {
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1, gate_bias: -1.0 }
    }
}

/// Instance Enhancement Batch Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct InstanceEnhancementBatchNorm {
    bn: BatchNorm,
    gate_weight: Tensor,
    gate_bias: Tensor,
}

/// An [`InstanceEnhancementBatchNorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var`,
/// `gate_weight` and `gate_bias` from `vb`.
///
/// # Errors
/// A tensor that `vb` lacks or has in another shape.
pub fn instance_enhancement_batch_norm(
    num_features: usize,
    config: InstanceEnhancementBatchNormConfig,
    vb: VarBuilder,
) -> Result<InstanceEnhancementBatchNorm> {
    InstanceEnhancementBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    Ok(InstanceEnhancementBatchNorm {
        gate_weight: vb.get_with_hints(num_features, "gate_weight", Init::Const(0.0))?,
        gate_bias: vb.get_with_hints(num_features, "gate_bias", Init::Const(config.gate_bias))?,
        bn: batch_norm(num_features, BatchNormConfig { eps: config.eps, momentum: config.momentum }, vb)?,
    })
}

impl Norm for InstanceEnhancementBatchNorm {
    fn affine(&self) -> &Affine {
        self.bn.affine()
    }

    fn granularity(&self) -> Granularity {
        Granularity::Image
    }

    fn observes(&self, _: Pass) -> bool {
        true
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let own = input.own("IEBN")?;
        let moments = self.bn.observes(input.call.pass).then(|| own.over_images()).transpose()?;
        let bn = self.bn.coefficients(&Input { call: input.call, shape: input.shape, moments, producer: None })?;
        let (mean, weight) = (own.mean.clone(), self.gate_weight.detach());
        let gate = sigmoid(&mean.broadcast_mul(&weight)?.broadcast_add(&self.gate_bias.detach())?)?;
        let ChannelMap { mean: center, slope, shift } = bn.map.clone();
        let map = ChannelMap { mean: center, slope: gate.broadcast_mul(&slope)?, shift };
        let pixels = (input.count() / input.images()) as f64;
        Ok(Coefficients::new(map, move |sums| {
            let gated = Sums { g: (&sums.g * &gate)?, gx: (&sums.gx * &gate)? };
            let Gradient { b, center, d, parameters } = bn.gradient(&gated.over_images()?)?;
            // dL/d(w m + b): gamma Σ g x̂ reaches the gate.
            let before = (&gated.gx.broadcast_mul(&slope)? * gate.affine(-1.0, 1.0)?)?;
            let d = before.broadcast_mul(&weight.affine(1.0 / pixels, 0.0)?)?.broadcast_add(&d)?;
            let gate = [sum_images(&(&before * &mean)?)?, sum_images(&before)?];
            let parameters = [parameters[0].clone(), sum_images(&sums.g)?].into_iter().chain(gate).collect();
            Ok(Gradient { b, center, d, parameters })
        }))
    }

    fn parameters(&self) -> Vec<Tensor> {
        self.bn.parameters().into_iter().chain([self.gate_weight.clone(), self.gate_bias.clone()]).collect()
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        self.bn.batch_statistics()
    }

    fn infers_by_map(&self) -> bool {
        false
    }
}

module_t!(InstanceEnhancementBatchNorm);

impl Family for InstanceEnhancementBatchNorm {
    const NAME: &'static str = "iebn";
    const ABOUT: &'static str = "Instance Enhancement Batch Normalization: BN with a gate for each image and channel";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &RUNNING;
    type Config = InstanceEnhancementBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        match config.gate_bias.is_finite() {
            true => Ok(()),
            false => Err(format!("gate_bias = {}: expected a number", config.gate_bias)),
        }
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(instance_enhancement_batch_norm(site.features, *config, site.vb)?))
    }
}
