//! A linear map with its normalizer and the rectifier, forward and backward; the last one, with its bias.

use std::sync::Arc;

use candle_core::{bail, Result, Shape, Tensor};

use super::map::{Map, Sizes, Workspace};
use super::norm::{apply, observe, Applied, PieceMoments};
use super::{add, form, linear, observes, Saved};
use crate::kernel::{with_values, Float};
use crate::model::unit::{Linear, LinearNorm};
use crate::model::Gradients;
use crate::norm::{Form, Pass, Source};
use crate::profile::timed;

/// How rows of features, pictures of one pixel, are best normalized: where the batch's statistics count, as the pixels of
/// one picture, whose sums need no putting together.
fn as_pictures(form: &Form, rows: Sizes) -> Sizes {
    match form.source {
        Source::Batch(_) => Sizes::new([1, 1, rows.n, rows.c]),
        Source::Sample(_) => rows,
    }
}

impl LinearNorm {
    pub(super) fn fused<T: Float>(
        &self,
        x: Map<T>,
        pass: Pass,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<(Map<T>, Saved<T>)> {
        let form = form(&self.norm)?;
        fits(&self.weight, &x.sizes)?;
        let z = with_values(&self.weight, |w| timed("linear", || linear::forward(&x, w, None, workspace)))?;
        let rows = z.sizes;
        let z = z.reshaped(as_pictures(&form, rows));
        let mut moments = PieceMoments::new(z.sizes);
        let applied = timed("statistics", || {
            if observes(&form, pass) {
                for (n, out) in moments.places().into_iter().enumerate() {
                    observe(z.picture(n), z.sizes.c, out);
                }
            }
            apply(&form, &moments, &Shape::from((rows.n, rows.c)), pass)
        })?;
        let y = timed("normalization", || applied.forward(&z, None, [0, 0], workspace));
        Ok((y.reshaped(rows), Saved::Linear { x, z, applied }))
    }

    pub(super) fn fused_backward<T: Float>(
        &self,
        (x, z, applied): (Map<T>, Map<T>, Applied<T>),
        g: Map<T>,
        wanted: bool,
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Option<Map<T>>> {
        let form = form(&self.norm)?;
        let rows = g.sizes;
        let mut g = g.reshaped(z.sizes);
        let (dz, gamma, beta) =
            timed("normalization, gradient", || applied.backward(&z, None, &mut g, [0, 0], workspace));
        let dz = dz.reshaped(rows);
        add(gradients, form.gamma, gamma)?;
        add(gradients, form.beta, beta)?;
        gradients.write(&self.weight, |w, add| {
            timed("linear, weight gradient", || linear::weight_gradient(&dz, &x, w, add));
        })?;
        let dx = || {
            with_values(&self.weight, |w| timed("linear, input gradient", || linear::input_gradient(&dz, w, workspace)))
        };
        wanted.then(dx).transpose()
    }
}

impl Linear {
    pub(super) fn fused<T: Float>(&self, x: &Map<T>, workspace: &Arc<Workspace<T>>) -> Result<Map<T>> {
        fits(&self.weight, &x.sizes)?;
        with_values(&self.weight, |w| with_values(&self.bias, |b| linear::forward(x, w, Some(b), workspace)))?
    }
}

/// Refuses features that a weight (out, in) does not take.
fn fits(weight: &Tensor, x: &Sizes) -> Result<()> {
    match weight.dim(1)? == x.image() {
        true => Ok(()),
        false => bail!("linear: weight {:?} does not take {} features", weight.dims(), x.image()),
    }
}
