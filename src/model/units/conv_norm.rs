//! relu(norm(conv(x)) + residual): a convolution with its normalizer, a residual and the rectifier; behind it, where asked
//! for, the maximum over 2x2 windows side by side, and, where asked for, no rectifier.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::convolution::{Convolution, Convolved, Preimage, Way};
use super::{Fused, Output, Unit, rectified};
use crate::kernel::Float;
use crate::model::Gradients;
use crate::model::fused::norm::{Applied, apply};
use crate::model::fused::{Map, Passing, Sizes, Workspace};
use crate::norm::{Call, Norm, remembered};
use crate::ops;
use crate::profile::timed;

/// A convolution, normalizer, rectifier.
#[derive(Debug)]
pub struct ConvNorm {
    conv: Convolution,
    norm: Arc<dyn Norm>,
    after: After,
}

/// What follows normalization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Rectifier,
    Pool,
    Nothing,
}

impl ConvNorm {
    /// A convolution, and a normalizer of its channels whose form its weights have.
    pub fn new(conv: Convolution, norm: Arc<dyn Norm>) -> Self {
        Self { conv, norm, after: After::Rectifier }
    }

    /// The same with the maximum over 2x2 windows behind it.
    pub fn pooled(self) -> Self {
        Self { after: After::Pool, ..self }
    }

    /// The same without the rectifier.
    pub fn unrectified(self) -> Self {
        Self { after: After::Nothing, ..self }
    }

    /// relu(norm(conv(x)) + residual), in differentiable operations.
    pub(super) fn normalized(&self, x: &Tensor, residual: Option<&Tensor>, call: Call) -> Result<Tensor> {
        let producer = self.conv.apply(x, call)?;
        let mut y = self.norm.forward_at(&producer.y, call, Some(&producer))?;
        if let Some(residual) = residual {
            y = (y + residual)?;
        }
        match self.after {
            After::Nothing => Ok(y),
            _ => rectified(self.norm.as_ref(), &y, call),
        }
    }

    /// relu(norm(conv(x)) + residual) of each batch, in order, or its maxima; without residuals, none is added.
    pub(super) fn convolve<T: Float>(
        &self,
        batches: Vec<Passing<Map<T>>>,
        residuals: &[&Map<T>],
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<(Map<T>, Normalized<'_, T>)>> {
        let norm = self.norm.as_ref();
        let mut outputs = vec![];
        let convolved = self.conv.convolve(batches, |pass| remembered::observes(norm, pass), workspace)?;
        for (i, made) in convolved.into_iter().enumerate() {
            let rectify = self.after != After::Nothing;
            let mut applied = timed("statistics", || {
                apply(norm, &made.moments, &made.shape(), made.call, Some(&made.producer()), rectify)
            })?;
            let Convolved { z, way, .. } = made;
            let y = timed("normalization", || match self.after {
                After::Pool => applied.forward_pooled(&z, border, workspace),
                _ => applied.forward(&z, residuals.get(i).copied(), border, workspace),
            })?;
            outputs.push((y, Normalized { unit: self, way, z, applied, workspace: workspace.clone() }));
        }
        Ok(outputs)
    }
}

/// A convolution and its normalization, made: input, result and coefficients.
pub(super) struct Normalized<'a, T: Float> {
    unit: &'a ConvNorm,
    way: Way<'a, T>,
    z: Map<T>,
    applied: Applied<T>,
    workspace: Arc<Workspace<T>>,
}

impl<T: Float> Normalized<'_, T> {
    /// The input.
    pub fn x(&self) -> &Map<T> {
        &self.way.x
    }

    /// Given that with respect to the output: the gradient with respect to the convolution's result, and to what was added
    /// before the rectifier; those of the parameters go to `gradients`.
    pub fn backward(
        self,
        residual: Option<&Map<T>>,
        mut g: Map<T>,
        gradients: &mut Gradients,
    ) -> Result<(Preimage<T>, Map<T>)> {
        let Self { unit, way, z, applied, workspace } = self;
        let (norm, border) = (unit.norm.as_ref(), way.border());
        let dz = timed("normalization, gradient", || match unit.after {
            After::Pool => applied.backward_pooled(norm, &z, &g, border, gradients, &workspace),
            _ => applied.backward(norm, &z, residual, &mut g, border, gradients, &workspace),
        })?;
        Ok((way.backward(dz, gradients)?, g))
    }
}

impl Unit for ConvNorm {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        let y = self.normalized(x, None, call)?;
        match self.after {
            After::Pool => ops::max_pool2d(&y, 2),
            _ => Ok(y),
        }
    }

    fn border(&self) -> [usize; 2] {
        self.conv.border()
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        let (count, z) = self.conv.multiplications(x)?;
        Ok((count, if self.after == After::Pool { z.pooled() } else { z }))
    }
}

impl<T: Float> Fused<T> for ConvNorm {
    fn fused<'a>(
        &'a self,
        batches: Vec<Passing<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let outputs = self.convolve(batches, &[], border, workspace)?.into_iter().map(|(y, normalized)| {
            Output::new(y, move |g, wanted, gradients| {
                let (preimage, _) = normalized.backward(None, g, gradients)?;
                wanted.then(|| preimage.input_gradient(None)).transpose()
            })
        });
        Ok(outputs.collect())
    }
}
