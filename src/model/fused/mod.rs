//! The units' own forward and backward passes on the CPU: a convolution with its normalizer, residual and rectifier is
//! one operation, activations lie channels last, nothing goes through candle's graph.
//!
//! The same function as [`Unit::forward`], up to the order of additions. Work is cut into pieces that depend on shapes
//! alone, so results are the same bits for any number of threads.

mod block;
mod conv;
mod conv_norm;
mod linear;
mod linear_norm;
mod map;
mod norm;
mod parallel;
mod pool;
mod work;

use std::sync::Arc;

use candle_core::{bail, Result, Tensor};

use self::conv_norm::Convolved;
use self::map::{Map, Sizes};
use self::norm::Applied;
use self::work::multiplications;
use super::unit::Unit;
use super::Gradients;
use crate::kernel::{with_values, Float};
use crate::norm::{Form, Norm, Pass, Source};

pub use self::map::Workspace;

/// Whether every normalizer among the units is of a form that these passes know.
pub fn covers(units: &[Unit]) -> bool {
    let known = |norm: &Arc<dyn Norm>| norm.form().is_some();
    units.iter().all(|unit| match unit {
        Unit::Conv(conv) => known(&conv.norm),
        Unit::Block(block) => known(&block.conv1.norm) && known(&block.conv2.norm),
        Unit::Linear(linear) => known(&linear.norm),
        Unit::GlobalAvgPool | Unit::Flatten | Unit::Last(_) => true,
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
    let batches = [Passing { x: x.clone(), pass }];
    parallel::pass(multiplications(units, x), || chain(units, &batches, workspace, |_| {}))
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
    let work = batches.last().map_or(0, |batch| multiplications(units, &batch.x));
    let logits = parallel::pass(work, || chain(units, batches, workspace, |unit| saved.push(unit)))?;
    Ok((logits, Tape { units, saved, work, workspace: workspace.clone() }))
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
    /// Multiplications of the last batch's forward pass.
    work: usize,
    workspace: Arc<Workspace<T>>,
}

impl<T: Float> Tape<'_, T> {
    /// Adds the gradients of all parameters to `gradients`, given that with respect to the logits. None is computed for
    /// the pictures.
    pub fn backward(self, logits: &Tensor, gradients: &mut Gradients) -> Result<()> {
        let mut g = Map::from_tensor(logits, [0, 0], &self.workspace)?;
        parallel::pass(self.work, || {
            for (i, (unit, saved)) in self.units.iter().zip(self.saved).enumerate().rev() {
                match unit.fused_backward(saved, g, i > 0, gradients, &self.workspace)? {
                    Some(dx) => g = dx,
                    None => break,
                }
            }
            Ok(())
        })
    }
}

/// What a unit's backward pass needs of its forward pass.
// One per unit and step: boxes would cost more than they save.
#[allow(clippy::large_enum_variant)]
enum Saved<T: Float> {
    Conv(Convolved<T>),
    /// The convolutions, and the shortcut where it is not the input itself.
    Block(Convolved<T>, Convolved<T>, Option<Map<T>>),
    Reshaped(Sizes),
    Linear {
        x: Map<T>,
        z: Map<T>,
        applied: Applied<T>,
    },
    Last(Map<T>),
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
                let geometry = saved.geometry;
                drop(saved);
                wanted.then(|| conv.input_gradient(&geometry, &dz, None, workspace)).transpose()?
            }
            (Unit::Block(block), Saved::Block(first, second, shortcut)) => {
                Some(block.fused_backward(first, second, shortcut, g, gradients, workspace)?)
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
