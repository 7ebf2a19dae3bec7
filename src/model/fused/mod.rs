//! The units' own forward and backward passes on the CPU: a convolution with its normalizer, residual and rectifier is
//! one operation, activations lie channels last, nothing goes through candle's graph.
//!
//! The same function as [`Unit::forward`], up to the order of additions. Work is cut into pieces that depend on shapes
//! alone, so results are the same bits for any number of threads.

mod conv;
mod linear;
mod map;
mod norm;
mod pool;

use std::sync::Arc;

use candle_core::{bail, Result, Shape, Tensor};
use rayon::prelude::*;

use self::conv::Geometry;
use self::map::{Map, Sizes};
use self::norm::{apply, Applied, PieceMoments};
use super::unit::{Block, ConvNorm, Linear, LinearNorm, Unit};
use super::Gradients;
use crate::kernel::{with_values, Float};
use crate::norm::{Form, Norm, Pass, Source};
use crate::profile::timed;

pub use self::map::Workspace;

/// Calls `f` with each task and its number, on several threads if there are.
fn parallel<W: Send>(tasks: Vec<W>, f: impl Fn(usize, W) + Send + Sync) {
    if tasks.len() < 2 || rayon::current_num_threads() == 1 {
        tasks.into_iter().enumerate().for_each(|(i, task)| f(i, task));
    } else {
        tasks.into_par_iter().enumerate().for_each(|(i, task)| f(i, task));
    }
}

/// Whether every normalizer among the units is of a form that these passes know.
pub fn covers(units: &[Unit]) -> bool {
    let known = |norm: &Arc<dyn Norm>| norm.form().is_some();
    units.iter().all(|unit| match unit {
        Unit::Conv(conv) => known(&conv.norm),
        Unit::Block(block) => known(&block.conv1.norm) && known(&block.conv2.norm),
        Unit::Linear(linear) => known(&linear.norm),
        Unit::MaxPool(_) | Unit::GlobalAvgPool | Unit::Flatten | Unit::Last(_) => true,
    })
}

/// A batch on its way through the network.
#[derive(Debug, Clone)]
pub struct Passing<V> {
    /// Pictures (N,C,H,W), then what the units make of them.
    pub x: V,
    /// The pass it is part of.
    pub pass: Pass,
}

/// The logits of pictures (N,C,H,W).
pub fn forward<T: Float>(units: &[Unit], x: &Tensor, pass: Pass, workspace: &Arc<Workspace<T>>) -> Result<Tensor> {
    chain(units, &[Passing { x: x.clone(), pass }], workspace, |_| {})
}

/// The logits of the last of several batches, and what its backward pass needs.
///
/// All batches go through a layer before any goes through the next, in their order: Double-Forward's second pass over a
/// batch beside the training pass of the next one, which have the same weights. Each layer still sees the batches one
/// after the other, so that the result is, to the bit, that of passing them one after the other through the network.
pub fn record<'a, T: Float>(
    units: &'a [Unit],
    batches: &[Passing<Tensor>],
    workspace: &Arc<Workspace<T>>,
) -> Result<(Tensor, Tape<'a, T>)> {
    let mut saved = Vec::with_capacity(units.len());
    let logits = chain(units, batches, workspace, |unit| saved.push(unit))?;
    Ok((logits, Tape { units, saved, workspace: workspace.clone() }))
}

fn chain<T: Float>(
    units: &[Unit],
    batches: &[Passing<Tensor>],
    workspace: &Arc<Workspace<T>>,
    mut keep: impl FnMut(Saved<T>),
) -> Result<Tensor> {
    let border = |unit: Option<&Unit>| match unit {
        Some(Unit::Conv(conv)) => [conv.shape.padding; 2],
        Some(Unit::Block(block)) => [block.conv1.shape.padding; 2],
        _ => [0, 0],
    };
    let mut maps = vec![];
    for Passing { x, pass } in batches {
        maps.push(Passing { x: Map::from_tensor(x, border(units.first()), workspace)?, pass: *pass });
    }
    for (i, unit) in units.iter().enumerate() {
        let passes: Vec<Pass> = maps.iter().map(|map| map.pass).collect();
        let (ys, mut saved): (Vec<_>, Vec<_>) =
            unit.fused(maps, border(units.get(i + 1)), workspace)?.into_iter().unzip();
        maps = ys.into_iter().zip(passes).map(|(x, pass)| Passing { x, pass }).collect();
        saved.pop().into_iter().for_each(&mut keep);
    }
    match maps.last() {
        Some(last) => last.x.to_matrix(),
        None => bail!("no batch to pass through the network"),
    }
}

/// A recorded forward pass.
pub struct Tape<'a, T: Float> {
    units: &'a [Unit],
    saved: Vec<Saved<T>>,
    workspace: Arc<Workspace<T>>,
}

impl<T: Float> Tape<'_, T> {
    /// Adds the gradients of all parameters to `gradients`, given that with respect to the logits. None is computed for
    /// the pictures.
    pub fn backward(self, logits: &Tensor, gradients: &mut Gradients) -> Result<()> {
        let mut g = Map::from_tensor(logits, [0, 0], &self.workspace)?;
        for (i, (unit, saved)) in self.units.iter().zip(self.saved).enumerate().rev() {
            match unit.fused_backward(saved, g, i > 0, gradients, &self.workspace)? {
                Some(dx) => g = dx,
                None => break,
            }
        }
        Ok(())
    }
}

/// What a unit's backward pass needs of its forward pass.
// One per unit and step: boxes would cost more than they save.
#[allow(clippy::large_enum_variant)]
enum Saved<T: Float> {
    Conv(Convolved<T>),
    /// The convolutions, and the shortcut where it is not the input itself.
    Block(Convolved<T>, Convolved<T>, Option<Map<T>>),
    MaxPool(Sizes, Vec<u32>),
    Reshaped(Sizes),
    Linear {
        x: Map<T>,
        z: Map<T>,
        applied: Applied<T>,
    },
    Last(Map<T>),
}

/// Input, convolution and normalization of a [`ConvNorm`].
struct Convolved<T: Float> {
    geometry: Geometry,
    x: Map<T>,
    z: Map<T>,
    applied: Applied<T>,
}

/// Outputs of several batches, each with what its backward pass needs.
type Outputs<T, S> = Vec<(Map<T>, S)>;

impl Unit {
    fn fused<T: Float>(
        &self,
        batches: Vec<Passing<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Outputs<T, Saved<T>>> {
        match self {
            Unit::Conv(conv) => {
                let outputs = conv.fused(batches, &[], border, workspace)?;
                Ok(outputs.into_iter().map(|(y, saved)| (y, Saved::Conv(saved))).collect())
            }
            Unit::Block(block) => block.fused(batches, border, workspace),
            _ => batches.into_iter().map(|Passing { x, pass }| self.fused_alone(x, pass, workspace)).collect(),
        }
    }

    /// A unit without convolutions, where batches have nothing to share.
    fn fused_alone<T: Float>(
        &self,
        x: Map<T>,
        pass: Pass,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<(Map<T>, Saved<T>)> {
        let from = x.sizes;
        Ok(match self {
            Unit::MaxPool(size) => {
                if from.h < *size || from.w < *size {
                    bail!("max_pool2d: a window of {size} x {size} does not fit {}x{}", from.h, from.w);
                }
                let (y, taps) = timed("pooling", || pool::max_pool(&x, *size, workspace));
                (y, Saved::MaxPool(from, taps))
            }
            Unit::GlobalAvgPool => (pool::average(&x, workspace), Saved::Reshaped(from)),
            Unit::Flatten => (pool::flatten(&x, workspace), Saved::Reshaped(from)),
            Unit::Linear(linear) => linear.fused(x, pass, workspace)?,
            Unit::Last(last) => (last.fused(&x, workspace)?, Saved::Last(x)),
            Unit::Conv(_) | Unit::Block(_) => bail!("a unit with convolutions takes all batches together"),
        })
    }

    /// The gradient with respect to the input, if it is wanted; those of the parameters go to `gradients`.
    fn fused_backward<T: Float>(
        &self,
        saved: Saved<T>,
        g: Map<T>,
        wanted: bool,
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Option<Map<T>>> {
        let dx = match (self, saved) {
            (Unit::Conv(conv), Saved::Conv(saved)) => {
                let (dz, _) = conv.normalized_backward(&saved, None, g, gradients, workspace)?;
                wanted.then(|| conv.input_gradient(&saved, &dz, None, workspace)).transpose()?
            }
            (Unit::Block(block), Saved::Block(first, second, shortcut)) => {
                Some(block.fused_backward(first, second, shortcut, g, gradients, workspace)?)
            }
            (Unit::MaxPool(size), Saved::MaxPool(from, taps)) => {
                Some(timed("pooling, gradient", || pool::max_pool_gradient(from, *size, &taps, &g, workspace)))
            }
            (Unit::GlobalAvgPool, Saved::Reshaped(from)) => Some(pool::average_gradient(from, &g, workspace)),
            (Unit::Flatten, Saved::Reshaped(from)) => Some(pool::flatten_gradient(from, &g, workspace)),
            (Unit::Linear(linear), Saved::Linear { x, z, applied }) => {
                linear.fused_backward((x, z, applied), g, wanted, gradients, workspace)?
            }
            (Unit::Last(last), Saved::Last(x)) => {
                gradients.write(&last.weight, |w, add| linear::weight_gradient(&g, &x, w, add))?;
                add(gradients, &last.bias, linear::bias_gradient(&g))?;
                let dx = || with_values(&last.weight, |w| linear::input_gradient(&g, w, workspace));
                wanted.then(dx).transpose()?
            }
            _ => bail!("a unit was given what another one saved"),
        };
        Ok(dx.filter(|_| wanted))
    }
}

/// Adds a small gradient to its parameter's.
fn add<T: Float>(gradients: &mut Gradients, parameter: &Tensor, values: Vec<T>) -> Result<()> {
    gradients.add(parameter, Tensor::from_vec(values, parameter.shape(), parameter.device())?)
}

/// The normalizer's form; [`covers`] has seen that there is one.
fn form(norm: &Arc<dyn Norm>) -> Result<Form<'_>> {
    norm.form().ok_or_else(|| candle_core::Error::Msg("a normalizer without a fused form".into()))
}

/// Whether a normalizer looks at its input's moments in that pass.
fn observes(form: &Form, pass: Pass) -> bool {
    match form.source {
        Source::Batch(rule) => rule.observes(pass),
        Source::Sample(_) => true,
    }
}

impl ConvNorm {
    fn geometry(&self, x: &Sizes, winograd: bool) -> Result<Geometry> {
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

    /// relu(norm(conv(x)) + residual) of each batch, in order; without residuals, none is added.
    fn fused<T: Float>(
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
            let y = timed("normalization", || applied.forward(&z, residual, border, workspace));
            outputs.push((y, Convolved { geometry, x, z, applied }));
        }
        Ok(outputs)
    }

    /// The gradient with respect to the convolution's result, and to what was added before the rectifier; those of the
    /// parameters go to `gradients`.
    fn normalized_backward<T: Float>(
        &self,
        saved: &Convolved<T>,
        residual: Option<&Map<T>>,
        mut g: Map<T>,
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<(Map<T>, Map<T>)> {
        let form = form(&self.norm)?;
        let border = saved.geometry.z_border();
        let (dz, gamma, beta) =
            timed("normalization, gradient", || saved.applied.backward(&saved.z, residual, &mut g, border, workspace));
        add(gradients, form.gamma, gamma)?;
        add(gradients, form.beta, beta)?;
        gradients.write(&self.weight, |w, add| {
            timed("convolution, weight gradient", || conv::weight_gradient(&saved.geometry, &saved.x, &dz, w, add));
        })?;
        Ok((dz, g))
    }

    /// The gradient with respect to the input, added to `onto` if given.
    fn input_gradient<T: Float>(
        &self,
        saved: &Convolved<T>,
        dz: &Map<T>,
        onto: Option<Map<T>>,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        let add = onto.is_some();
        let mut dx = onto.unwrap_or_else(|| Map::new(saved.geometry.x, workspace));
        with_values(&self.weight, |w| {
            timed("convolution, input gradient", || conv::input_gradient(&saved.geometry, dz, w, &mut dx, add))
        })?;
        Ok(dx)
    }
}

impl Block {
    /// Whether the shortcut is the input itself.
    fn is_identity(&self, x: &Sizes) -> bool {
        self.stride == 1 && self.channels == x.c
    }

    fn fused<T: Float>(
        &self,
        batches: Vec<Passing<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Outputs<T, Saved<T>>> {
        let passes: Vec<Pass> = batches.iter().map(|batch| batch.pass).collect();
        let mut shortcuts = vec![];
        for Passing { x, .. } in &batches {
            let other = !self.is_identity(&x.sizes);
            shortcuts.push(other.then(|| pool::shortcut(x, self.stride, self.channels, workspace)));
        }
        let inside = [self.conv2.shape.padding; 2];
        let (inner, firsts): (Vec<_>, Vec<_>) = self.conv1.fused(batches, &[], inside, workspace)?.into_iter().unzip();
        let inner = inner.into_iter().zip(passes).map(|(x, pass)| Passing { x, pass }).collect();
        let residuals: Vec<_> =
            shortcuts.iter().zip(&firsts).map(|(s, first)| s.as_ref().unwrap_or(&first.x)).collect();
        let outputs = self.conv2.fused(inner, &residuals, border, workspace)?;
        let saved = outputs.into_iter().zip(firsts).zip(shortcuts);
        Ok(saved.map(|(((y, second), first), shortcut)| (y, Saved::Block(first, second, shortcut))).collect())
    }

    fn fused_backward<T: Float>(
        &self,
        first: Convolved<T>,
        second: Convolved<T>,
        shortcut: Option<Map<T>>,
        g: Map<T>,
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        let residual = shortcut.as_ref().unwrap_or(&first.x);
        let (dz, through) = self.conv2.normalized_backward(&second, Some(residual), g, gradients, workspace)?;
        let inner = self.conv2.input_gradient(&second, &dz, None, workspace)?;
        drop((second, dz));
        let (dz, _) = self.conv1.normalized_backward(&first, None, inner, gradients, workspace)?;
        if shortcut.is_none() {
            return self.conv1.input_gradient(&first, &dz, Some(through), workspace);
        }
        let mut dx = self.conv1.input_gradient(&first, &dz, None, workspace)?;
        pool::add_shortcut_gradient(&mut dx, self.stride, &through);
        Ok(dx)
    }
}

/// How rows of features, pictures of one pixel, are best normalized: where the batch's statistics count, as the pixels of
/// one picture, whose sums need no putting together.
fn as_pictures(form: &Form, rows: Sizes) -> Sizes {
    match form.source {
        Source::Batch(_) => Sizes::new([1, 1, rows.n, rows.c]),
        Source::Sample(_) => rows,
    }
}

impl LinearNorm {
    fn fused<T: Float>(&self, x: Map<T>, pass: Pass, workspace: &Arc<Workspace<T>>) -> Result<(Map<T>, Saved<T>)> {
        let form = form(&self.norm)?;
        fits(&self.weight, &x.sizes)?;
        let z = with_values(&self.weight, |w| timed("linear", || linear::forward(&x, w, None, workspace)))?;
        let rows = z.sizes;
        let z = z.reshaped(as_pictures(&form, rows));
        let mut moments = PieceMoments::new(z.sizes);
        let applied = timed("statistics", || {
            if observes(&form, pass) {
                for (n, out) in moments.places().into_iter().enumerate() {
                    norm::observe(z.picture(n), z.sizes.c, out);
                }
            }
            apply(&form, &moments, &Shape::from((rows.n, rows.c)), pass)
        })?;
        let y = timed("normalization", || applied.forward(&z, None, [0, 0], workspace));
        Ok((y.reshaped(rows), Saved::Linear { x, z, applied }))
    }

    fn fused_backward<T: Float>(
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
    fn fused<T: Float>(&self, x: &Map<T>, workspace: &Arc<Workspace<T>>) -> Result<Map<T>> {
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
