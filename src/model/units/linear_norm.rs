//! relu(norm(W x)): a linear layer with its normalizer and ReLU.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor};

use super::linear::products;
use super::producer::{MapProducer, TensorMap};
use super::weights::Weight;
use super::{Fused, Output, Unit, rectified};
use crate::kernel::{Float, with_values};
use crate::model::fused::norm::{map_coefficients, observe_all};
use crate::model::fused::{Map, PassInput, Sizes, Workspace, linear};
use crate::norm::{Call, Granularity, Norm, Pass, remembered};
use crate::ops;
use crate::profile::timed;

/// A linear layer without bias, a normalizer, ReLU.
#[derive(Debug)]
pub struct LinearNorm {
    /// (out, in).
    weight: Weight,
    norm: Arc<dyn Norm>,
}

impl LinearNorm {
    /// Weight (out, in) and a normalizer of `out` channels.
    pub(super) fn new(weight: Weight, norm: Arc<dyn Norm>) -> Self {
        Self { weight, norm }
    }

    /// How rows of features, images of one pixel, are best normalized: for statistics per channel as the pixels of one image,
    /// so that no sums over images have to be combined.
    fn as_images(&self, rows: Sizes, pass: Pass) -> Sizes {
        match remembered::granularity(self.norm.as_ref(), pass) {
            Granularity::Channel => Sizes::new([1, 1, rows.n, rows.c]),
            Granularity::Image => rows,
        }
    }
}

impl Unit for LinearNorm {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        let weight = self.weight.at(call)?;
        let y = ops::linear(x, &weight, None)?;
        let producer = TensorMap { x, weight, bias: None, y, shape: None };
        rectified(self.norm.as_ref(), &self.norm.forward_at(&producer.y, call, Some(&producer))?, call)
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        products(self.weight.dims(), x)
    }
}

impl<T: Float> Fused<T> for LinearNorm {
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        _: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let norm = self.norm.as_ref();
        let weight = self.weight.values()?;
        let mut outputs = vec![];
        for PassInput { x, call } in batches {
            products(self.weight.dims(), x.sizes)?;
            let (weight, workspace) = (weight.clone(), workspace.clone());
            let z = with_values(&weight, |w| timed("linear", || linear::forward(&x, w, None, &workspace)))?;
            let rows = z.sizes;
            let images = self.as_images(rows, call.pass);
            let z = z.reshaped(images);
            let seen = timed("statistics", || observe_all(&z, remembered::observes(norm, call.pass)));
            let z = z.reshaped(rows);
            let mut coefficients = timed("statistics", || {
                let producer = MapProducer { geometry: None, weight: &weight, bias: None, x: &x, z: &z };
                map_coefficients(norm, &seen, &Shape::from((rows.n, rows.c)), call, Some(&producer), true)
            })?;
            let z = z.reshaped(images);
            let y = timed("normalization", || coefficients.forward(&z, None, [0, 0], &workspace))?.reshaped(rows);
            outputs.push(Output::new(y, move |g: Map<T>, wanted, gradients| {
                let mut g = g.reshaped(z.sizes);
                let dz = timed("normalization, gradient", || {
                    coefficients.backward(norm, &z, None, &mut g, [0, 0], gradients, &workspace)
                })?;
                let dz = dz.reshaped(rows);
                self.weight.write(gradients, |w, add| {
                    timed("linear, weight gradient", || linear::weight_gradient(&dz, &x, w, add));
                })?;
                let dx = || {
                    with_values(&weight, |w| {
                        timed("linear, input gradient", || linear::input_gradient(&dz, w, &workspace))
                    })
                };
                wanted.then(dx).transpose()
            }));
        }
        Ok(outputs)
    }
}
