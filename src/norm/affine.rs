//! What every normalizer ends with: y = gamma x̂ + beta, and the checks every one begins with.

use candle_core::{Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};

use super::{BatchStatistics, Form, Moments, NormError, Pass, Source};
use crate::ops::{self, Statistics};

/// Scale and shift per channel, `weight` and `bias`, with the layer's name for messages.
#[derive(Debug, Clone)]
pub(super) struct Affine {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
    pub layer: String,
}

impl Affine {
    /// `weight` (1) and `bias` (0) of shape (features) from `vb`.
    pub fn new(features: usize, eps: f64, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(features, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(features, "bias", Init::Const(0.0))?,
            eps,
            layer: vb.prefix(),
        })
    }

    /// (gamma, beta) as the pass wants them: attached to the graph only where it is differentiated.
    pub fn parameters(&self, pass: Pass) -> (Tensor, Tensor) {
        if pass.is_differentiated() {
            (self.weight.clone(), self.bias.clone())
        } else {
            (self.weight.detach(), self.bias.detach())
        }
    }

    /// Scale, shift and eps beside a source of statistics.
    pub fn form<'a>(&'a self, source: Source<'a>) -> Form<'a> {
        Form { gamma: &self.weight, beta: &self.bias, eps: self.eps, source }
    }

    /// gamma (x - mean)/sqrt(var + eps) + beta with the statistics that `rule` makes of the batch's.
    pub fn normalize(&self, x: &Tensor, rule: &dyn BatchStatistics, pass: Pass) -> Result<Tensor> {
        self.count(x.shape())?;
        let batch = rule.observes(pass).then(|| ops::moments(x)).transpose()?;
        let used = rule.statistics(batch, x.shape(), pass)?;
        let Moments { mean, var } = used.moments;
        let stats = Statistics { mean, var, eps: self.eps, center: used.center, factor: used.factor };
        let (gamma, beta) = self.parameters(pass);
        ops::normalize(x, &gamma, &beta, &stats)
    }

    /// Values per channel of `x`.
    ///
    /// # Errors
    /// Not (N,C) or (N,C,H,W), another number of channels, or empty.
    pub fn count(&self, x: &Shape) -> Result<usize> {
        let features = self.weight.elem_count();
        let channels = if matches!(x.rank(), 2 | 4) { x.dims()[1] } else { 0 };
        if channels != features || x.elem_count() == 0 {
            return Err(NormError::Shape { layer: self.layer.clone(), features, shape: x.clone() }.into());
        }
        Ok(x.elem_count() / features)
    }

    /// The refusal of a batch with one value per channel.
    pub fn refuse_one_value(&self, x: &Shape, count: usize) -> Result<()> {
        if count > 1 {
            return Ok(());
        }
        Err(NormError::OneValue { layer: self.layer.clone(), shape: x.clone() }.into())
    }
}
