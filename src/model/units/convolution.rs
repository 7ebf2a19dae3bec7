//! A convolution, with or without a bias: a unit by itself, and part of others.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor, bail};

use super::producer::{MapProducer, TensorMap};
use super::weights::Weight;
use super::{Fused, Output, Unit, attached};
use crate::kernel::{Float, with_optional_values, with_values};
use crate::model::Gradients;
use crate::model::fused::conv::{self, Geometry};
use crate::model::fused::norm::PieceMoments;
use crate::model::fused::{Map, PassInput, Sizes, Workspace};
use crate::norm::{Call, Pass};
use crate::ops;
use crate::profile::timed;

/// Kernel size, stride and zero padding of a square convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    /// Rows and columns of the kernel.
    pub size: usize,
    /// Step between windows.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
}

/// W * x, or W * x + b.
#[derive(Debug)]
pub struct Convolution {
    /// (out, in, size, size).
    weight: Weight,
    bias: Option<Tensor>,
    shape: ConvShape,
}

impl Convolution {
    /// Weight (out, in, size, size), and bias (out).
    pub(super) fn new(weight: Weight, bias: Option<Tensor>, shape: ConvShape) -> Self {
        Self { weight, bias, shape }
    }

    /// The convolution of `x` in differentiable operations, as a normalizer's producer.
    pub(super) fn apply<'a>(&self, x: &'a Tensor, call: Call) -> Result<TensorMap<'a>> {
        let weight = self.weight.at(call)?;
        let mut y = ops::conv2d(x, &weight, self.shape.stride, self.shape.padding)?;
        if let Some(bias) = &self.bias {
            y = y.broadcast_add(&attached(bias, call).reshape((1, (), 1, 1))?)?;
        }
        Ok(TensorMap { x, weight, bias: self.bias.clone(), y, shape: Some(self.shape) })
    }

    pub(super) fn geometry(&self, x: &Sizes, winograd: bool) -> Result<Geometry> {
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

    /// The convolution of each batch, with moments of the result in passes for which `observes` is true.
    pub(super) fn convolve<T: Float>(
        &self,
        batches: Vec<PassInput<Map<T>>>,
        observes: impl Fn(Pass) -> bool,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<ConvOutput<'_, T>>> {
        let weight = self.weight.values()?;
        let mut convolved = vec![];
        for PassInput { x, call } in batches {
            let geometry = self.geometry(&x.sizes, workspace.winograd)?;
            let x = timed("border", || x.with_border(geometry.x_border()));
            let (z, moments) = (Map::new(geometry.z, workspace), PieceMoments::new(geometry.z));
            let tape = ConvTape { unit: self, geometry, weight: weight.clone(), x };
            convolved.push(ConvOutput { z, moments, call, tape });
        }
        let mut jobs = vec![];
        for ConvOutput { z, moments, call, tape: ConvTape { geometry, x, .. } } in &mut convolved {
            jobs.push(conv::Job { geometry, x, z, moments: observes(call.pass).then_some(moments) });
        }
        with_values(&weight, |w| {
            with_optional_values(self.bias.as_ref(), |b| timed("convolution", || conv::forward(jobs, w, b)))
        })??;
        Ok(convolved)
    }
}

/// A computed convolution.
pub(super) struct ConvOutput<'a, T: Float> {
    pub z: Map<T>,
    pub moments: PieceMoments,
    pub call: Call,
    pub tape: ConvTape<'a, T>,
}

impl<T: Float> ConvOutput<'_, T> {
    /// The result's shape as a normalizer knows it, (N,C,H,W).
    pub fn shape(&self) -> Shape {
        let Sizes { n, h, w, c, .. } = self.z.sizes;
        Shape::from((n, c, h, w))
    }

    /// The convolution as a normalizer's producer.
    pub fn producer(&self) -> MapProducer<'_, T> {
        let ConvTape { unit, geometry, weight, x } = &self.tape;
        MapProducer { geometry: Some(geometry), weight, bias: unit.bias.as_ref(), x, z: &self.z }
    }
}

/// What the backward pass of a convolution needs.
pub(super) struct ConvTape<'a, T: Float> {
    unit: &'a Convolution,
    geometry: Geometry,
    weight: Tensor,
    pub x: Map<T>,
}

impl<T: Float> ConvTape<'_, T> {
    /// The border that the output's gradient needs.
    pub fn border(&self) -> [usize; 2] {
        self.geometry.z_border()
    }

    /// Adds the parameters' gradients, given that of the output, bordered.
    pub fn backward(self, dz: Map<T>, gradients: &mut Gradients) -> Result<OutputGradient<T>> {
        let Self { unit, geometry, weight, x } = self;
        unit.weight.write(gradients, |w, add| {
            timed("convolution, weight gradient", || conv::weight_gradient(&geometry, &x, &dz, w, add));
        })?;
        if let Some(bias) = &unit.bias {
            gradients.add_values(bias, dz.channel_sums().into_iter().map(T::from_f64).collect())?;
        }
        Ok(OutputGradient { geometry, weight, dz })
    }
}

/// The gradient with respect to a convolution's result.
pub(super) struct OutputGradient<T: Float> {
    geometry: Geometry,
    weight: Tensor,
    dz: Map<T>,
}

impl<T: Float> OutputGradient<T> {
    /// The gradient with respect to the input, added to `onto` if given.
    pub fn input_gradient(self, onto: Option<Map<T>>) -> Result<Map<T>> {
        let add = onto.is_some();
        let mut dx = onto.unwrap_or_else(|| Map::new(self.geometry.x, self.dz.workspace()));
        with_values(&self.weight, |w| {
            timed("convolution, input gradient", || conv::input_gradient(&self.geometry, &self.dz, w, &mut dx, add))
        })?;
        Ok(dx)
    }
}

impl Unit for Convolution {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        Ok(self.apply(x, call)?.y)
    }

    fn border(&self) -> [usize; 2] {
        [self.shape.padding; 2]
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        let geometry = self.geometry(&x, false)?;
        Ok((geometry.multiplications(), geometry.z))
    }
}

impl<T: Float> Fused<T> for Convolution {
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let convolved = self.convolve(batches, |_| false, workspace)?;
        let outputs = convolved.into_iter().map(|ConvOutput { z, tape, .. }| {
            Output::new(z.with_border(border), move |g: Map<T>, wanted, gradients| {
                let dz = g.with_border(tape.border());
                let output_gradient = tape.backward(dz, gradients)?;
                wanted.then(|| output_gradient.input_gradient(None)).transpose()
            })
        });
        Ok(outputs.collect())
    }
}
