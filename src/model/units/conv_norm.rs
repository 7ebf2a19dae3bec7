//! relu(norm(conv(x)) + residual): a convolution with its normalizer, a residual and the rectifier; behind it, where asked
//! for, the maximum over 2x2 windows side by side.

use std::sync::Arc;

use candle_core::{bail, Result, Shape, Tensor};

use super::producer::{MapProducer, TensorMap};
use super::weights::Weight;
use super::{attached, Fused, Output, Unit};
use crate::kernel::{with_values, Float};
use crate::model::fused::conv::{self, Geometry};
use crate::model::fused::norm::{apply, Applied, PieceMoments};
use crate::model::fused::{Map, Passing, Sizes, Workspace};
use crate::model::Gradients;
use crate::norm::{remembered, Call, Norm};
use crate::ops;
use crate::profile::timed;

/// Kernel size, stride and zero padding of a square convolution.
#[derive(Debug, Clone, Copy)]
pub struct Conv {
    /// Rows and columns of the kernel.
    pub size: usize,
    /// Step between windows.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
}

/// A convolution without bias, normalizer, rectifier.
#[derive(Debug)]
pub struct ConvNorm {
    /// (out, in, size, size).
    weight: Weight,
    shape: Conv,
    norm: Arc<dyn Norm>,
    pooled: bool,
}

impl ConvNorm {
    /// Weight (out, in, size, size) and a normalizer of `out` channels.
    pub fn new(weight: Tensor, shape: Conv, norm: Arc<dyn Norm>) -> Self {
        Self { weight: Weight::new(weight, norm.as_ref()), shape, norm, pooled: false }
    }

    /// The same with the maximum over 2x2 windows behind it.
    pub fn pooled(self) -> Self {
        Self { pooled: true, ..self }
    }

    /// relu(norm(conv(x)) + residual), in differentiable operations.
    pub(super) fn rectified(&self, x: &Tensor, residual: Option<&Tensor>, call: Call) -> Result<Tensor> {
        let weight = self.weight.at(call)?;
        let y = ops::conv2d(x, &weight, self.shape.stride, self.shape.padding)?;
        let producer = TensorMap { x, weight: &weight, y: &y, shape: Some(self.shape) };
        let mut y = self.norm.forward_at(&y, call, Some(&producer))?;
        if let Some(residual) = residual {
            y = (y + residual)?;
        }
        let threshold = self.norm.threshold().map(|threshold| attached(threshold, call));
        ops::rectify(&y, threshold.as_ref())
    }

    fn geometry(&self, x: &Sizes, winograd: bool) -> Result<Geometry> {
        let &[cout, cin, _, size] = self.weight.dims() else { bail!("conv2d: weight {:?}", self.weight.dims()) };
        let (stride, padding) = (self.shape.stride, self.shape.padding);
        if cin != x.c || (x.h.min(x.w) + 2 * padding) < size {
            bail!(
                "conv2d: weight {:?} with padding {padding} does not fit {} channels of {}x{}",
                self.weight.dims(),
                x.c,
                x.h,
                x.w
            );
        }
        let windows = |pixels: usize| (pixels + 2 * padding - size) / stride + 1;
        let z = Sizes::new([x.n, windows(x.h), windows(x.w), cout]);
        Ok(Geometry { x: x.bordered([0, 0]), z, size, stride, padding, winograd })
    }

    /// relu(norm(conv(x)) + residual) of each batch, in order, or its maxima; without residuals, none is added.
    pub(super) fn convolve<T: Float>(
        &self,
        batches: Vec<Passing<Map<T>>>,
        residuals: &[&Map<T>],
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<(Map<T>, Convolved<'_, T>)>> {
        let norm = self.norm.as_ref();
        let mut convolved = vec![];
        for Passing { x, call } in batches {
            let geometry = self.geometry(&x.sizes, workspace.winograd)?;
            let x = timed("border", || x.with_border(geometry.x_border()));
            let (z, moments) = (Map::new(geometry.z, workspace), PieceMoments::new(geometry.z));
            convolved.push((geometry, x, z, moments, call));
        }
        let mut jobs = vec![];
        for (geometry, x, z, moments, call) in &mut convolved {
            jobs.push(conv::Job { geometry, x, z, moments: remembered::observes(norm, call.pass).then_some(moments) });
        }
        let weight = self.weight.values()?;
        with_values(&weight, |w| timed("convolution", || conv::forward(jobs, w)))?;
        let mut outputs = vec![];
        for (i, (geometry, x, z, moments, call)) in convolved.into_iter().enumerate() {
            let Sizes { n, h, w, c, .. } = geometry.z;
            let producer = MapProducer { geometry: Some(&geometry), weight: &weight, x: &x, z: &z };
            let shape = Shape::from((n, c, h, w));
            let applied = timed("statistics", || apply(norm, &moments, &shape, call, Some(&producer)))?;
            let y = timed("normalization", || match self.pooled {
                true => applied.forward_pooled(&z, border, workspace),
                false => Ok(applied.forward(&z, residuals.get(i).copied(), border, workspace)),
            })?;
            let (weight, workspace) = (weight.clone(), workspace.clone());
            outputs.push((y, Convolved { unit: self, geometry, weight, x, z, applied, workspace }));
        }
        Ok(outputs)
    }
}

/// A convolution and its normalization, made: input, result and coefficients.
pub(super) struct Convolved<'a, T: Float> {
    unit: &'a ConvNorm,
    geometry: Geometry,
    weight: Tensor,
    pub x: Map<T>,
    z: Map<T>,
    applied: Applied<T>,
    workspace: Arc<Workspace<T>>,
}

impl<T: Float> Convolved<'_, T> {
    /// Given that with respect to the output: the gradient with respect to the convolution's result, and to what was added
    /// before the rectifier; those of the parameters go to `gradients`.
    pub fn backward(
        self,
        residual: Option<&Map<T>>,
        mut g: Map<T>,
        gradients: &mut Gradients,
    ) -> Result<(Preimage<T>, Map<T>)> {
        let Self { unit, geometry, weight, x, z, applied, workspace } = self;
        let (norm, border) = (unit.norm.as_ref(), geometry.z_border());
        let dz = timed("normalization, gradient", || match unit.pooled {
            true => applied.backward_pooled(norm, &z, &g, border, gradients, &workspace),
            false => applied.backward(norm, &z, residual, &mut g, border, gradients, &workspace),
        })?;
        unit.weight.write(gradients, |w, add| {
            timed("convolution, weight gradient", || conv::weight_gradient(&geometry, &x, &dz, w, add));
        })?;
        Ok((Preimage { geometry, weight, dz, workspace }, g))
    }
}

/// The gradient with respect to a convolution's result.
pub(super) struct Preimage<T: Float> {
    geometry: Geometry,
    weight: Tensor,
    dz: Map<T>,
    workspace: Arc<Workspace<T>>,
}

impl<T: Float> Preimage<T> {
    /// The gradient with respect to the input, added to `onto` if given.
    pub fn input_gradient(self, onto: Option<Map<T>>) -> Result<Map<T>> {
        let add = onto.is_some();
        let mut dx = onto.unwrap_or_else(|| Map::new(self.geometry.x, &self.workspace));
        with_values(&self.weight, |w| {
            timed("convolution, input gradient", || conv::input_gradient(&self.geometry, &self.dz, w, &mut dx, add))
        })?;
        Ok(dx)
    }
}

impl Unit for ConvNorm {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        let y = self.rectified(x, None, call)?;
        match self.pooled {
            true => ops::max_pool2d(&y, 2),
            false => Ok(y),
        }
    }

    fn border(&self) -> [usize; 2] {
        [self.shape.padding; 2]
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        let geometry = self.geometry(&x, false)?;
        Ok((geometry.multiplications(), if self.pooled { geometry.z.pooled() } else { geometry.z }))
    }
}

impl<T: Float> Fused<T> for ConvNorm {
    fn fused<'a>(
        &'a self,
        batches: Vec<Passing<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let outputs = self.convolve(batches, &[], border, workspace)?.into_iter().map(|(y, convolved)| {
            Output::new(y, move |g, wanted, gradients| {
                let (preimage, _) = convolved.backward(None, g, gradients)?;
                wanted.then(|| preimage.input_gradient(None)).transpose()
            })
        });
        Ok(outputs.collect())
    }
}
