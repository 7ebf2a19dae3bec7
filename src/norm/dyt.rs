//! Dynamic Tanh (Zhu, Chen, He, LeCun & Liu, "Transformers without Normalization", arXiv 2503.10622).
//!
//! y = gamma tanh(alpha x) + beta, alpha one parameter per layer; no statistics at all.
//! Remembers nothing; the ordinary gradient; inference and training are the same; one value per channel is fine.
//! Meant to replace Layer Normalization in transformers; here a control, as [`super::NoNorm`] is, with bounded activations.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::registry::{Family, Site};
use super::state::StateTensor;
use super::{Affine, AfterMap, Coefficients, Gradient, Input, Norm, Pass, module_t};
use crate::ops::{self, ChannelMap};

/// Parameters of [`DynamicTanh`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DynamicTanhConfig {
    /// Initial alpha.
    pub alpha: f64,
}

impl Default for DynamicTanhConfig {
    fn default() -> Self {
        Self { alpha: 0.5 }
    }
}

/// Dynamic Tanh of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct DynamicTanh {
    affine: Affine,
    /// Of shape (1).
    alpha: Tensor,
}

/// A [`DynamicTanh`] for `num_features` channels: `weight`, `bias` and `alpha` from `vb`.
///
/// # Errors
/// Parameters out of range.
pub fn dynamic_tanh(num_features: usize, config: DynamicTanhConfig, vb: VarBuilder) -> Result<DynamicTanh> {
    DynamicTanh::check(&config).map_err(candle_core::Error::Msg)?;
    let alpha = vb.get_with_hints(1, "alpha", Init::Const(config.alpha))?;
    Ok(DynamicTanh { affine: Affine::new(num_features, 0.0, &vb)?, alpha })
}

impl Norm for DynamicTanh {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn observes(&self, _: Pass) -> bool {
        false
    }

    /// alpha x.
    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let slope = self.alpha.detach().broadcast_as(input.shape.dims()[1])?.contiguous()?;
        let zero = slope.zeros_like()?;
        let map = ChannelMap { mean: zero.clone(), slope, shift: zero.clone() };
        Ok(Coefficients::new(map, move |sums| {
            let parameters = vec![sums.gx.sum_all()?.reshape(1)?];
            Ok(Gradient { b: zero.clone(), center: zero.clone(), d: zero.clone(), parameters })
        }))
    }

    fn parameters(&self) -> Vec<Tensor> {
        vec![self.alpha.clone()]
    }

    /// gamma tanh(·) + beta.
    fn after_map(&self) -> Option<AfterMap> {
        let parameters = self.affine.parameters().map(Tensor::clone).to_vec();
        Some(AfterMap {
            parameters,
            map: |y, parameters| ops::scale_and_shift(&y.tanh()?, &parameters[0], &parameters[1]),
        })
    }
}

module_t!(DynamicTanh);

impl Family for DynamicTanh {
    const NAME: &'static str = "dyt";
    const ABOUT: &'static str = "Dynamic Tanh: no statistics, a tanh with a learned slope";
    const REFRESHES: bool = false;
    const STATE: &'static [StateTensor] = &[];
    type Config = DynamicTanhConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        match config.alpha.is_finite() && config.alpha > 0.0 {
            true => Ok(()),
            false => Err(format!("alpha = {}: expected a positive number", config.alpha)),
        }
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(dynamic_tanh(site.features, *config, site.vb)?))
    }
}
