//! No normalization: y = gamma x + beta, the scale and shift that every normalizer ends with, and nothing else.
//!
//! Remembers nothing; the ordinary gradient; inference and training are the same; one value per channel is fine.
//! The control for "does normalizing help at all", with exactly the parameters of the others.

use std::sync::Arc;

use candle_core::{ModuleT, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::affine::Affine;
use super::registry::Family;
use super::{BatchStatistics, Form, Moments, Norm, Pass, Source, Used};

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
pub fn no_norm(num_features: usize, vb: VarBuilder) -> Result<NoNorm> {
    let affine = Affine::new(num_features, 0.0, &vb)?;
    let ones = Tensor::ones(num_features, vb.dtype(), vb.device())?;
    Ok(NoNorm { affine, identity: Moments { mean: ones.zeros_like()?, var: ones } })
}

impl BatchStatistics for NoNorm {
    fn observes(&self, _: Pass) -> bool {
        false
    }

    fn statistics(&self, _: Option<Moments>, x: &Shape, _: Pass) -> Result<Used> {
        self.affine.count(x)?;
        Ok(Used::frozen(self.identity.clone()))
    }
}

impl Norm for NoNorm {
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        self.affine.normalize(x, self, pass)
    }

    fn form(&self) -> Option<Form<'_>> {
        Some(self.affine.form(Source::Batch(self)))
    }

    fn rule(&self) -> &'static str {
        "sample"
    }
}

impl ModuleT for NoNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(x, if train { Pass::Train } else { Pass::Eval })
    }
}

impl Family for NoNorm {
    const NAME: &'static str = "none";
    const ABOUT: &'static str = "no normalization: scale and shift alone";
    const REFRESHES: bool = false;
    type Config = NoNormConfig;

    fn build(features: usize, _: &Self::Config, vb: VarBuilder) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(no_norm(features, vb)?))
    }
}
