//! Batch Normalization with enhanced linear transformation, BNET (Xu et al., arXiv 2011.14150).
//!
//! Training: y = K * x̂ + beta, x̂ = (x - mu_B)/sqrt(v_B + eps): BN whose scale is a depth-wise convolution, K a k x k kernel
//! per channel, x̂ padded with zeros. K's centre is gamma, `weight`; the rest of it, `around`, starts at 0, so that training
//! starts as BN; k = 1 is BN.
//! Remembers: what BN does. Gradient: BN's, with K's transpose of g in place of gamma g; K's own is that of a convolution.
//! Inference: x̂ by the running averages, constants; the convolution stays, so it does not export to plain BatchNorm.
//! Double-Forward: as BN. One value per channel (n = 1): refused, as BN. After a linear layer there are no neighbours, and
//! `around` stays 0.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::registry::{Family, Site};
use super::state::{RUNNING, StateTensor};
use super::{Affine, AfterMap, BatchNorm, BatchStatistics, Coefficients, Gradient, Input, Norm, module_t};
use crate::ops;

/// Parameters of [`EnhancedBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnhancedBatchNormConfig {
    /// k, the kernel's rows and columns.
    pub kernel: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest batch in the running averages.
    pub momentum: f64,
}

impl Default for EnhancedBatchNormConfig {
    fn default() -> Self {
        Self { kernel: 3, eps: 1e-5, momentum: 0.1 }
    }
}

/// BNET of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct EnhancedBatchNorm {
    /// With a scale of 1 and a shift of 0.
    bn: BatchNorm,
    /// gamma, beta and, for k above 1, the rest of K, (C,k²-1) in reading order.
    linear: Vec<Tensor>,
}

/// An [`EnhancedBatchNorm`] for `num_features` channels: `weight`, `bias`, `around`, `running_mean`, `running_var` from `vb`.
///
/// # Errors
/// Parameters out of range.
pub fn enhanced_batch_norm(
    num_features: usize,
    config: EnhancedBatchNormConfig,
    vb: VarBuilder,
) -> Result<EnhancedBatchNorm> {
    EnhancedBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let EnhancedBatchNormConfig { kernel, eps, momentum } = config;
    let own = |name, value| vb.get_with_hints(num_features, name, Init::Const(value));
    let mut linear = vec![own("weight", 1.0)?, own("bias", 0.0)?];
    if kernel > 1 {
        linear.push(vb.get_with_hints((num_features, kernel * kernel - 1), "around", Init::Const(0.0))?);
    }
    let affine = Affine::unit(num_features, eps, &vb)?;
    Ok(EnhancedBatchNorm { bn: BatchNorm::scaled(affine, momentum, &vb)?, linear })
}

/// K * x̂ + beta.
fn transformed(normalized: &Tensor, parameters: &[Tensor]) -> Result<Tensor> {
    let (gamma, beta) = (&parameters[0], &parameters[1]);
    let Some(around) = parameters.get(2) else { return ops::scale_and_shift(normalized, gamma, beta) };
    let half = around.dim(1)? / 2;
    let kernel = Tensor::cat(&[&around.narrow(1, 0, half)?, &gamma.unsqueeze(1)?, &around.narrow(1, half, half)?], 1)?;
    let (features, taps) = kernel.dims2()?;
    ops::depthwise(normalized, &kernel.reshape((features, taps.isqrt(), ()))?, beta)
}

impl Norm for EnhancedBatchNorm {
    fn affine(&self) -> &Affine {
        self.bn.affine()
    }

    /// x̂.
    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let bn = self.bn.coefficients(input)?;
        let map = bn.map.clone();
        Ok(Coefficients::new(map, move |sums| Ok(Gradient { parameters: vec![], ..bn.gradient(sums)? })))
    }

    fn parameters(&self) -> Vec<Tensor> {
        vec![]
    }

    fn after_map(&self) -> Option<AfterMap> {
        Some(AfterMap { parameters: self.linear.clone(), map: transformed })
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        self.bn.batch_statistics()
    }
}

module_t!(EnhancedBatchNorm);

impl Family for EnhancedBatchNorm {
    const NAME: &'static str = "bnet";
    const ABOUT: &'static str = "BNET: Batch Normalization with a depth-wise convolution in place of the scale";
    const REFRESHES: bool = true;
    const STATE: &'static [StateTensor] = &RUNNING;
    type Config = EnhancedBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        match config.kernel {
            1 | 3 | 5 | 7 => Ok(()),
            kernel => Err(format!("kernel = {kernel}: expected 1, 3, 5 or 7")),
        }
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(enhanced_batch_norm(site.features, *config, site.vb)?))
    }
}
