//! Filter Response Normalization with its thresholded linear unit (Singh & Krishnan 2019, arXiv 1911.09737).
//!
//! Each image and channel alone: y = gamma x/s + beta, s = sqrt(nu² + eps), nu² the mean of x² over the positions; no mean is
//! subtracted. The ReLU after it becomes max(y, tau), tau a parameter per channel ([`Norm::threshold`]).
//! Remembers nothing; gradient through nu², dx = gamma/s (g - x/s² mean(g x)), to tau where y is below it, and to eps where
//! that is learned; inference and training are the same.
//! One value per image and channel (1x1 maps, fully connected): x/s would be a sign, so after a linear layer eps is learned,
//! 1e-6 + |e|, one e per layer, initially 1e-4.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::registry::{Family, Site};
use super::state::StateTensor;
use super::{Affine, Coefficients, Gradient, Granularity, Input, Norm, Pass, module_t};
use crate::ops::ChannelMap;

/// Parameters of [`FilterResponseNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterResponseNormConfig {
    /// Added to nu²; the fixed part where eps is learned.
    pub eps: f64,
    /// Initial e, where eps is learned.
    pub learned_eps: f64,
}

impl Default for FilterResponseNormConfig {
    fn default() -> Self {
        Self { eps: 1e-6, learned_eps: 1e-4 }
    }
}

/// Filter Response Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct FilterResponseNorm {
    affine: Affine,
    eps: f64,
    /// None where no ReLU follows.
    tau: Option<Tensor>,
    /// e, of shape (1), where eps is learned.
    learned: Option<Tensor>,
}

/// A [`FilterResponseNorm`] for `num_features` channels: `weight`, `bias`, `tau` and, with `learn_eps`, `eps` from `vb`.
///
/// # Errors
/// Parameters out of range.
pub fn filter_response_norm(
    num_features: usize,
    config: FilterResponseNormConfig,
    learn_eps: bool,
    vb: VarBuilder,
) -> Result<FilterResponseNorm> {
    let tau = vb.get_with_hints(num_features, "tau", Init::Const(0.0))?;
    Ok(FilterResponseNorm {
        tau: Some(tau),
        ..FilterResponseNorm::without_threshold(num_features, config, learn_eps, vb)?
    })
}

impl FilterResponseNorm {
    fn without_threshold(
        num_features: usize,
        config: FilterResponseNormConfig,
        learn_eps: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        Self::check(&config).map_err(candle_core::Error::Msg)?;
        let learned = || vb.get_with_hints(1, "eps", Init::Const(config.learned_eps));
        let affine = Affine::new(num_features, config.eps, &vb)?;
        Ok(Self { affine, eps: config.eps, tau: None, learned: learn_eps.then(learned).transpose()? })
    }
}

impl Norm for FilterResponseNorm {
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
        let (_, square) = input.own("FRN")?.raw()?;
        let learned = self.learned.as_ref().map(|e| e.detach());
        let scale = match &learned {
            Some(e) => (square.broadcast_add(&e.abs()?)? + self.eps)?.sqrt()?.recip()?,
            None => self.affine.scale(&square)?,
        };
        let (gamma, pixels) = (self.affine.gamma(), (input.count() / input.images()) as f64);
        let slope = scale.broadcast_mul(&gamma)?;
        let map = ChannelMap { mean: square.zeros_like()?, slope: slope.clone(), shift: self.affine.beta() };
        Ok(Coefficients::new(map, move |sums| {
            let zero = slope.zeros_like()?;
            // -2 dL/d(s²) of each image and channel, with y = gamma x/s.
            let along = ((&slope * scale.sqr()?)? * &sums.gx)?;
            let b = along.affine(-1.0 / pixels, 0.0)?;
            let mut parameters = vec![(&sums.gx * &scale)?.sum(0)?, sums.g.sum(0)?];
            if let Some(e) = &learned {
                let sign = e.ge(0.0)?.to_dtype(e.dtype())?.affine(2.0, -1.0)?;
                parameters.push((sign * along.sum_all()?.affine(-0.5, 0.0)?.reshape(1)?)?);
            }
            Ok(Gradient { b, center: zero.clone(), d: zero, parameters })
        }))
    }

    fn parameters(&self) -> Vec<Tensor> {
        self.affine.parameters().into_iter().chain(&self.learned).cloned().collect()
    }

    fn threshold(&self) -> Option<&Tensor> {
        self.tau.as_ref()
    }
}

module_t!(FilterResponseNorm);

impl Family for FilterResponseNorm {
    const NAME: &'static str = "frn";
    const ABOUT: &'static str = "Filter Response Normalization: each image and channel alone, a learned threshold";
    const REFRESHES: bool = false;
    const STATE: &'static [StateTensor] = &[];
    type Config = FilterResponseNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_eps(config.learned_eps).map_err(|why| format!("learned_{why}"))
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        let learn_eps = site.producer.as_ref().is_some_and(|weight| weight.rank() == 2);
        let make = if site.rectified { filter_response_norm } else { Self::without_threshold };
        Ok(Arc::new(make(site.features, *config, learn_eps, site.vb)?))
    }
}
