//! W x + b: the last layer, to the logits.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::{Fused, Output, Unit, attached};
use crate::kernel::{Float, with_values};
use crate::model::fused::{Map, PassInput, Sizes, Workspace, linear};
use crate::norm::Call;
use crate::ops;

/// W x + b.
#[derive(Debug)]
pub struct Linear {
    /// (out, in).
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Weight (out, in) and bias (out).
    pub fn new(weight: Tensor, bias: Tensor) -> Self {
        Self { weight, bias }
    }
}

impl Unit for Linear {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        ops::linear(x, &attached(&self.weight, call), Some(&attached(&self.bias, call)))
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        products(self.weight.dims(), x)
    }
}

impl<T: Float> Fused<T> for Linear {
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        _: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let mut outputs = vec![];
        for PassInput { x, .. } in batches {
            products(self.weight.dims(), x.sizes)?;
            let workspace = workspace.clone();
            let y = with_values(&self.weight, |w| {
                with_values(&self.bias, |b| linear::forward(&x, w, Some(b), &workspace))
            })??;
            outputs.push(Output::new(y, move |g: Map<T>, wanted, gradients| {
                gradients.write(&self.weight, |w, add| linear::weight_gradient(&g, &x, w, add))?;
                gradients.add_values(&self.bias, g.channel_sums().into_iter().map(T::from_f64).collect())?;
                let dx = || with_values(&self.weight, |w| linear::input_gradient(&g, w, &workspace));
                wanted.then(dx).transpose()
            }));
        }
        Ok(outputs)
    }
}

/// Multiplications of a linear layer with weight (out, in), and the sizes of its output; refuses features that do not fit.
pub(super) fn products(weight: &[usize], x: Sizes) -> Result<(usize, Sizes)> {
    match weight {
        [outputs, inputs] if *inputs == x.image() => Ok((outputs * inputs * x.n, x.features(*outputs))),
        _ => bail!("linear: weight {weight:?} does not take {} features", x.image()),
    }
}
