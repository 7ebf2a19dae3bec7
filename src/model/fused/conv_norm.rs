//! A convolution with its normalizer, a residual and the rectifier, forward and backward.

use std::sync::Arc;

use candle_core::{bail, Result, Shape};

use super::conv::{self, Geometry};
use super::map::{Map, Sizes, Workspace};
use super::norm::{apply, Applied, PieceMoments};
use super::{add, form, observes, Outputs, Passing};
use crate::kernel::{with_values, Float};
use crate::model::unit::ConvNorm;
use crate::model::Gradients;
use crate::profile::timed;

/// Input, convolution and normalization of a [`ConvNorm`].
pub(super) struct Convolved<T: Float> {
    pub(super) geometry: Geometry,
    pub(super) x: Map<T>,
    z: Map<T>,
    applied: Applied<T>,
}

impl ConvNorm {
    pub(super) fn geometry(&self, x: &Sizes, winograd: bool) -> Result<Geometry> {
        let (cout, cin, _, size) = self.weight.dims4()?;
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
    pub(super) fn fused<T: Float>(
        &self,
        batches: Vec<Passing<Map<T>>>,
        residuals: &[&Map<T>],
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Outputs<T, Convolved<T>>> {
        let form = form(&self.norm)?;
        let mut convolved = vec![];
        for Passing { x, pass } in batches {
            let geometry = self.geometry(&x.sizes, workspace.winograd)?;
            let x = timed("border", || x.with_border(geometry.x_border()));
            let (z, moments) = (Map::new(geometry.z, workspace), PieceMoments::new(geometry.z));
            convolved.push((geometry, x, z, moments, pass));
        }
        let mut jobs = vec![];
        for (geometry, x, z, moments, pass) in &mut convolved {
            jobs.push(conv::Job { geometry, x, z, moments: observes(&form, *pass).then_some(moments) });
        }
        with_values(&self.weight, |w| timed("convolution", || conv::forward(jobs, w)))?;
        let mut outputs = vec![];
        for (i, (geometry, x, z, moments, pass)) in convolved.into_iter().enumerate() {
            let Sizes { n, h, w, c, .. } = geometry.z;
            let applied = timed("statistics", || apply(&form, &moments, &Shape::from((n, c, h, w)), pass))?;
            let residual = residuals.get(i).copied();
            let y = timed("normalization", || match self.pooled {
                true => applied.forward_pooled(&z, border, workspace),
                false => Ok(applied.forward(&z, residual, border, workspace)),
            })?;
            outputs.push((y, Convolved { geometry, x, z, applied }));
        }
        Ok(outputs)
    }

    /// The gradient with respect to the convolution's result, and to what was added before the rectifier; those of the
    /// parameters go to `gradients`.
    pub(super) fn normalized_backward<T: Float>(
        &self,
        saved: &Convolved<T>,
        residual: Option<&Map<T>>,
        mut g: Map<T>,
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<(Map<T>, Map<T>)> {
        let form = form(&self.norm)?;
        let border = saved.geometry.z_border();
        let (dz, gamma, beta) = timed("normalization, gradient", || match self.pooled {
            true => saved.applied.backward_pooled(&saved.z, &g, border, workspace),
            false => saved.applied.backward(&saved.z, residual, &mut g, border, workspace),
        });
        add(gradients, form.gamma, gamma)?;
        add(gradients, form.beta, beta)?;
        gradients.write(&self.weight, |w, add| {
            timed("convolution, weight gradient", || conv::weight_gradient(&saved.geometry, &saved.x, &dz, w, add));
        })?;
        Ok((dz, g))
    }

    /// The gradient with respect to the input, added to `onto` if given.
    pub(super) fn input_gradient<T: Float>(
        &self,
        geometry: &Geometry,
        dz: &Map<T>,
        onto: Option<Map<T>>,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        let add = onto.is_some();
        let mut dx = onto.unwrap_or_else(|| Map::new(geometry.x, workspace));
        with_values(&self.weight, |w| {
            timed("convolution, input gradient", || conv::input_gradient(geometry, dz, w, &mut dx, add))
        })?;
        Ok(dx)
    }
}
