//! He et al.'s basic block: relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)).

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::conv_norm::ConvNormTape;
use super::{ConvNorm, Fused, Output, Unit};
use crate::kernel::Float;
use crate::model::fused::{Map, PassInput, Sizes, Workspace, pool};
use crate::norm::Call;
use crate::ops;

/// Two convolutions, each with its normalizer and ReLU, and a shortcut: the input itself or, where the block changes the map's
/// size, the shortcut without parameters (option A) or a projection with a normalizer (option B).
#[derive(Debug)]
pub struct Block {
    first: ConvNorm,
    second: ConvNorm,
    /// Applied to every `stride`-th pixel.
    projection: Option<ConvNorm>,
    stride: usize,
    channels: usize,
}

/// A shortcut, unless it is the input itself, and its backward pass, if it has parameters.
pub(super) type ShortcutOutput<T, W> = (Option<Map<T>>, Option<W>);

impl Block {
    /// The first convolution has that stride; both have `channels` output channels.
    pub fn new(first: ConvNorm, second: ConvNorm, stride: usize, channels: usize) -> Self {
        Self { first, second, projection: None, stride, channels }
    }

    /// The same with a 1x1 convolution of every `stride`-th pixel and its normalizer, without ReLU, as the shortcut.
    pub fn projected(self, projection: ConvNorm) -> Self {
        Self { projection: Some(projection), ..self }
    }

    /// Whether the shortcut is the input itself.
    fn is_identity(&self, x: &Sizes) -> bool {
        self.projection.is_none() && self.stride == 1 && self.channels == x.c
    }

    /// The shortcut of each batch.
    fn shortcuts<T: Float>(
        &self,
        batches: &[PassInput<Map<T>>],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<ShortcutOutput<T, ConvNormTape<'_, T>>>> {
        let kept = |x: &Map<T>, channels| pool::shortcut(x, self.stride, channels, workspace);
        let Some(projection) = &self.projection else {
            let padded = |x: &Map<T>| (!self.is_identity(&x.sizes)).then(|| kept(x, self.channels));
            return Ok(batches.iter().map(|batch| (padded(&batch.x), None)).collect());
        };
        let kept =
            batches.iter().map(|PassInput { x, call }| PassInput { x: kept(x, x.sizes.c), call: *call }).collect();
        let projected = projection.convolve(kept, &[], [0, 0], workspace)?.into_iter();
        Ok(projected.map(|(y, tape)| (Some(y), Some(tape))).collect())
    }
}

impl Unit for Block {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        let shortcut = match &self.projection {
            Some(projection) => projection.forward(&ops::shortcut(x, self.stride, x.dim(1)?)?, call)?,
            None => ops::shortcut(x, self.stride, self.channels)?,
        };
        let inner = self.first.forward(x, call)?;
        self.second.normalized(&inner, Some(&shortcut), call)
    }

    fn border(&self) -> [usize; 2] {
        self.first.border()
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        let (first, inner) = self.first.multiplications(x)?;
        let (second, y) = self.second.multiplications(inner)?;
        let kept = pool::kept(&x, self.stride, x.c);
        let beside = self.projection.as_ref().map_or(Ok(0), |p| p.multiplications(kept).map(|(count, _)| count))?;
        Ok((first + second + beside, y))
    }
}

impl<T: Float> Fused<T> for Block {
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let calls: Vec<Call> = batches.iter().map(|batch| batch.call).collect();
        let shortcuts = self.shortcuts(&batches, workspace)?;
        let inner = self.first.convolve(batches, &[], self.second.border(), workspace)?;
        let (inner, firsts): (Vec<_>, Vec<_>) = inner.into_iter().unzip();
        let inner = inner.into_iter().zip(calls).map(|(x, call)| PassInput { x, call }).collect();
        let residuals: Vec<_> =
            shortcuts.iter().zip(&firsts).map(|((s, _), first)| s.as_ref().unwrap_or(first.x())).collect();
        let outputs = self.second.convolve(inner, &residuals, border, workspace)?;
        let made = outputs.into_iter().zip(firsts).zip(shortcuts);
        let outputs = made.map(|(((y, second), first), (shortcut, projected))| {
            Output::new(y, move |g, wanted, gradients| {
                let residual = shortcut.as_ref().unwrap_or(first.x());
                let (output_gradient, through) = second.backward(Some(residual), g, gradients)?;
                // Saved values are freed as soon as they are used, to make room for the gradients.
                let is_identity = shortcut.is_none();
                drop(shortcut);
                let inner = output_gradient.input_gradient(None)?;
                let (output_gradient, _) = first.backward(None, inner, gradients)?;
                let through = match projected {
                    Some(tape) => tape.backward(None, through, gradients)?.0.input_gradient(None)?,
                    None => through,
                };
                if !wanted {
                    return Ok(None);
                }
                if is_identity {
                    return output_gradient.input_gradient(Some(through)).map(Some);
                }
                let mut dx = output_gradient.input_gradient(None)?;
                pool::add_shortcut_gradient(&mut dx, self.stride, &through);
                Ok(Some(dx))
            })
        });
        Ok(outputs.collect())
    }
}
