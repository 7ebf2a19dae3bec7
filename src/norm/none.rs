//! No normalization: y = gamma x + beta, the scale and shift that every normalizer ends with, and nothing else.
//!
//! Remembers nothing; the ordinary gradient; inference and training are the same; one value per channel is fine.
//! The control for "does normalizing help at all", with the scale and shift of the others.
//!
//! In deep residual networks activations grow with every block, so the fair form of this control is `none` with
//! `zero_init_residual`: the scale gamma that ends a branch starts at 0, so every block starts as its shortcut, and the
//! branches come in as gamma grows. That is SkipInit (De & Smith, NeurIPS 2020, arXiv 2002.10444) with a factor per channel
//! instead of one per block, and needs no parameter that the others do not have. The setting is open to every normalizer.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::registry::{Family, Site};
use super::state::StateTensor;
use super::{Affine, Coefficients, Input, Moments, Norm, Pass, module_t};

/// Parameters of [`NoNorm`]: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoNormConfig {}

/// Scale and shift of (N,C,H,W) or (N,C).
#[derive(Debug)]
pub struct NoNorm {
    affine: Affine,
    identity: Moments,
}

/// A [`NoNorm`] for `num_features` channels: `weight` and `bias` from `vb`.
///
/// # Errors
/// A tensor that `vb` lacks or has in another shape.
pub fn no_norm(num_features: usize, vb: VarBuilder) -> Result<NoNorm> {
    let affine = Affine::new(num_features, 0.0, &vb)?;
    let ones = Tensor::ones(num_features, vb.dtype(), vb.device())?;
    Ok(NoNorm { affine, identity: Moments { mean: ones.zeros_like()?, var: ones } })
}

impl Norm for NoNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn observes(&self, _: Pass) -> bool {
        false
    }

    fn coefficients(&self, _: &Input) -> Result<Coefficients> {
        self.affine.constant(&self.identity)
    }
}

module_t!(NoNorm);

impl Family for NoNorm {
    const NAME: &'static str = "none";
    const ABOUT: &'static str = "no normalization: scale and shift alone";
    const REFRESHES: bool = false;
    const STATE: &'static [StateTensor] = &[];
    type Config = NoNormConfig;

    fn build(site: Site, _: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(no_norm(site.features, site.vb)?))
    }
}
