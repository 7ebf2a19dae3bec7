//! relu(norm(x)): a normalizer after something other than a convolution, such as a sum.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor};

use super::{Fused, Output, Unit, rectified};
use crate::kernel::Float;
use crate::model::Gradients;
use crate::model::fused::norm::{MapCoefficients, map_coefficients, observe_all};
use crate::model::fused::{Map, PassInput, Sizes, Workspace};
use crate::norm::{Call, Norm, remembered};
use crate::profile::timed;

/// A normalizer and ReLU.
#[derive(Debug)]
pub struct NormRelu(Arc<dyn Norm>);

impl NormRelu {
    /// With that normalizer, which is told nothing about the layer before it.
    pub fn new(norm: Arc<dyn Norm>) -> Self {
        Self(norm)
    }

    /// relu(norm(x)) with that border.
    pub(super) fn normalize<T: Float>(
        &self,
        PassInput { x, call }: PassInput<Map<T>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<(Map<T>, NormTape<'_, T>)> {
        let norm = self.0.as_ref();
        let x = x.with_border([0, 0]);
        let Sizes { n, h, w, c, .. } = x.sizes;
        let mut coefficients = timed("statistics", || {
            let moments = observe_all(&x, remembered::observes(norm, call.pass));
            map_coefficients(norm, &moments, &Shape::from((n, c, h, w)), call, None, true)
        })?;
        let y = timed("normalization", || coefficients.forward(&x, None, border, workspace))?;
        Ok((y, NormTape { norm, x, coefficients }))
    }
}

/// What the backward pass of a normalization needs.
pub(super) struct NormTape<'a, T: Float> {
    norm: &'a dyn Norm,
    pub x: Map<T>,
    coefficients: MapCoefficients<T>,
}

impl<T: Float> NormTape<'_, T> {
    /// The gradient with respect to the input, those of the parameters added to `gradients`.
    pub fn backward(self, mut g: Map<T>, gradients: &mut Gradients) -> Result<Map<T>> {
        let Self { norm, x, coefficients } = self;
        timed("normalization, gradient", || {
            coefficients.backward(norm, &x, None, &mut g, [0, 0], gradients, x.workspace())
        })
    }
}

impl Unit for NormRelu {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        rectified(self.0.as_ref(), &self.0.forward_at(x, call, None)?, call)
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        Ok((0, x))
    }
}

impl<T: Float> Fused<T> for NormRelu {
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let mut outputs = vec![];
        for batch in batches {
            let (y, normalized) = self.normalize(batch, border, workspace)?;
            outputs.push(Output::new(y, move |g, wanted, gradients| {
                let dx = normalized.backward(g, gradients)?;
                Ok(wanted.then_some(dx))
            }));
        }
        Ok(outputs)
    }
}
