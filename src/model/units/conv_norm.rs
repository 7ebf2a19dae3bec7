//! relu(norm(conv(x)) + residual): a convolution with its normalizer, a residual and ReLU; optionally with the maximum over
//! non-overlapping 2x2 windows after it, or without ReLU.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::convolution::{ConvOutput, ConvTape, Convolution, OutputGradient};
use super::{Fused, Output, Unit, rectified};
use crate::kernel::Float;
use crate::model::Gradients;
use crate::model::fused::norm::{MapCoefficients, map_coefficients};
use crate::model::fused::{Map, PassInput, Sizes, Workspace};
use crate::norm::{Call, Norm, remembered};
use crate::ops;
use crate::profile::timed;

/// A convolution, a normalizer, ReLU.
#[derive(Debug)]
pub struct ConvNorm {
    conv: Convolution,
    norm: Arc<dyn Norm>,
    activation: Activation,
}

/// What follows normalization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Rectifier,
    PooledRectifier,
    Identity,
}

impl ConvNorm {
    /// A convolution and a normalizer of its channels, whose weight form the convolution has.
    pub fn new(conv: Convolution, norm: Arc<dyn Norm>) -> Self {
        Self { conv, norm, activation: Activation::Rectifier }
    }

    /// The same with the maximum over 2x2 windows after it.
    pub fn pooled(self) -> Self {
        Self { activation: Activation::PooledRectifier, ..self }
    }

    /// The same without ReLU.
    pub fn unrectified(self) -> Self {
        Self { activation: Activation::Identity, ..self }
    }

    /// relu(norm(conv(x)) + residual), in differentiable operations.
    pub(super) fn normalized(&self, x: &Tensor, residual: Option<&Tensor>, call: Call) -> Result<Tensor> {
        let producer = self.conv.apply(x, call)?;
        let mut y = self.norm.forward_at(&producer.y, call, Some(&producer))?;
        if let Some(residual) = residual {
            y = (y + residual)?;
        }
        match self.activation {
            Activation::Identity => Ok(y),
            _ => rectified(self.norm.as_ref(), &y, call),
        }
    }

    /// relu(norm(conv(x)) + residual) of each batch, in order, or its maxima; `residuals` may be empty.
    pub(super) fn convolve<T: Float>(
        &self,
        batches: Vec<PassInput<Map<T>>>,
        residuals: &[&Map<T>],
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<(Map<T>, ConvNormTape<'_, T>)>> {
        let norm = self.norm.as_ref();
        let mut outputs = vec![];
        let convolved = self.conv.convolve(batches, |pass| remembered::observes(norm, pass), workspace)?;
        for (i, made) in convolved.into_iter().enumerate() {
            let rectify = self.activation != Activation::Identity;
            let mut coefficients = timed("statistics", || {
                map_coefficients(norm, &made.moments, &made.shape(), made.call, Some(&made.producer()), rectify)
            })?;
            let ConvOutput { z, tape, .. } = made;
            let y = timed("normalization", || match self.activation {
                Activation::PooledRectifier => coefficients.forward_pooled(&z, border, workspace),
                _ => coefficients.forward(&z, residuals.get(i).copied(), border, workspace),
            })?;
            outputs.push((y, ConvNormTape { unit: self, tape, z, coefficients, workspace: workspace.clone() }));
        }
        Ok(outputs)
    }
}

/// What the backward pass needs: the convolution's input, its result and the normalizer's coefficients.
pub(super) struct ConvNormTape<'a, T: Float> {
    unit: &'a ConvNorm,
    tape: ConvTape<'a, T>,
    z: Map<T>,
    coefficients: MapCoefficients<T>,
    workspace: Arc<Workspace<T>>,
}

impl<T: Float> ConvNormTape<'_, T> {
    /// The input.
    pub fn x(&self) -> &Map<T> {
        &self.tape.x
    }

    /// From the gradient with respect to the output: those with respect to the convolution's result and to the residual; those
    /// of the parameters go to `gradients`.
    pub fn backward(
        self,
        residual: Option<&Map<T>>,
        mut g: Map<T>,
        gradients: &mut Gradients,
    ) -> Result<(OutputGradient<T>, Map<T>)> {
        let Self { unit, tape, z, coefficients, workspace } = self;
        let (norm, border) = (unit.norm.as_ref(), tape.border());
        let dz = timed("normalization, gradient", || match unit.activation {
            Activation::PooledRectifier => coefficients.backward_pooled(norm, &z, &g, border, gradients, &workspace),
            _ => coefficients.backward(norm, &z, residual, &mut g, border, gradients, &workspace),
        })?;
        Ok((tape.backward(dz, gradients)?, g))
    }
}

impl Unit for ConvNorm {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        let y = self.normalized(x, None, call)?;
        match self.activation {
            Activation::PooledRectifier => ops::max_pool2d(&y, 2),
            _ => Ok(y),
        }
    }

    fn border(&self) -> [usize; 2] {
        self.conv.border()
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        let (count, z) = self.conv.multiplications(x)?;
        Ok((count, if self.activation == Activation::PooledRectifier { z.pooled() } else { z }))
    }
}

impl<T: Float> Fused<T> for ConvNorm {
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let outputs = self.convolve(batches, &[], border, workspace)?.into_iter().map(|(y, normalized)| {
            Output::new(y, move |g, wanted, gradients| {
                let (output_gradient, _) = normalized.backward(None, g, gradients)?;
                wanted.then(|| output_gradient.input_gradient(None)).transpose()
            })
        });
        Ok(outputs.collect())
    }
}
