//! Fused forward and backward passes of batches through a chain of units.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::Gradients;
use super::fused::{Map, PassInput, Sizes, Workspace, parallel};
use super::units::{Backward, Number, Unit};
use crate::norm::Call;

/// The logits of images (N,C,H,W).
pub fn forward<T: Number>(
    units: &[Box<dyn Unit>],
    x: &Tensor,
    call: Call,
    workspace: &Arc<Workspace<T>>,
) -> Result<Tensor> {
    let batches = [PassInput { x: x.clone(), call }];
    parallel::pass(multiplications(units, x), || chain(units, &batches, workspace, |_| {}))
}

/// The logits of the last of several batches, and its backward pass.
///
/// All batches go through a layer, in order, before any goes through the next: Double-Forward's second pass over a batch
/// together with the training pass of the next one, which has the same weights. Each layer still sees the batches one after
/// the other, so the result is bit-identical to passing them through the network one by one.
pub fn record<'a, T: Number>(
    units: &'a [Box<dyn Unit>],
    batches: &[PassInput<Tensor>],
    workspace: &Arc<Workspace<T>>,
) -> Result<(Tensor, Tape<'a, T>)> {
    let mut steps = Vec::with_capacity(units.len());
    let work = batches.last().map_or(0, |batch| multiplications(units, &batch.x));
    let logits = parallel::pass(work, || chain(units, batches, workspace, |backward| steps.push(backward)))?;
    Ok((logits, Tape { steps, work, workspace: workspace.clone() }))
}

fn chain<'a, T: Number>(
    units: &'a [Box<dyn Unit>],
    batches: &[PassInput<Tensor>],
    workspace: &Arc<Workspace<T>>,
    mut keep: impl FnMut(Backward<'a, T>),
) -> Result<Tensor> {
    let border = |i: usize| units.get(i).map_or([0, 0], |unit| unit.border());
    let mut maps = vec![];
    for PassInput { x, call } in batches {
        maps.push(PassInput { x: Map::from_tensor(x, border(0), workspace)?, call: *call });
    }
    for (i, unit) in units.iter().enumerate() {
        let calls: Vec<Call> = maps.iter().map(|map| map.call).collect();
        let mut outputs = T::of(unit.as_ref()).fused(maps, border(i + 1), workspace)?;
        let last = outputs.pop();
        maps = outputs.into_iter().map(|output| output.y).zip(&calls).map(|(x, &call)| PassInput { x, call }).collect();
        if let (Some(output), Some(&call)) = (last, calls.last()) {
            maps.push(PassInput { x: output.y, call });
            keep(output.backward);
        }
    }
    match maps.last() {
        Some(last) => last.x.to_matrix(),
        None => bail!("no batch to pass through the network"),
    }
}

/// What the backward pass through a network needs.
pub struct Tape<'a, T: Number> {
    steps: Vec<Backward<'a, T>>,
    /// Multiplications of the last batch's forward pass.
    work: usize,
    workspace: Arc<Workspace<T>>,
}

impl<T: Number> Tape<'_, T> {
    /// Adds the gradients of all parameters to `gradients`, given the gradient with respect to the logits. None is computed
    /// for the images.
    pub fn backward(self, logits: &Tensor, gradients: &mut Gradients) -> Result<()> {
        let mut g = Map::from_tensor(logits, [0, 0], &self.workspace)?;
        parallel::pass(self.work, || {
            for (i, backward) in self.steps.into_iter().enumerate().rev() {
                match backward(g, i > 0, gradients)? {
                    Some(dx) => g = dx,
                    None => break,
                }
            }
            Ok(())
        })
    }
}

/// Multiplications of a forward pass of images (N,C,H,W), up to a unit that refuses its input.
fn multiplications(units: &[Box<dyn Unit>], images: &Tensor) -> usize {
    let [n, c, h, w] = *images.dims() else { return 0 };
    let (mut total, mut sizes) = (0, Sizes::new([n, h, w, c]));
    for unit in units {
        let Ok((count, y)) = unit.multiplications(sizes) else { break };
        total += count;
        sizes = y;
    }
    total
}
