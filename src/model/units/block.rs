//! He et al.'s basic block: relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)).

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::{ConvNorm, Fused, Output, Unit};
use crate::kernel::Float;
use crate::model::fused::{pool, Map, Passing, Sizes, Workspace};
use crate::norm::Call;
use crate::ops;

/// Two convolutions, each with its normalizer and rectifier, and a shortcut without parameters.
#[derive(Debug)]
pub struct Block {
    first: ConvNorm,
    second: ConvNorm,
    stride: usize,
    channels: usize,
}

impl Block {
    /// The first convolution has that stride, both have that many output channels.
    pub fn new(first: ConvNorm, second: ConvNorm, stride: usize, channels: usize) -> Self {
        Self { first, second, stride, channels }
    }

    /// Whether the shortcut is the input itself.
    fn is_identity(&self, x: &Sizes) -> bool {
        self.stride == 1 && self.channels == x.c
    }
}

impl Unit for Block {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        let shortcut = ops::shortcut(x, self.stride, self.channels)?;
        let inner = self.first.rectified(x, None, call)?;
        self.second.rectified(&inner, Some(&shortcut), call)
    }

    fn border(&self) -> [usize; 2] {
        self.first.border()
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        let (first, inner) = self.first.multiplications(x)?;
        let (second, y) = self.second.multiplications(inner)?;
        Ok((first + second, y))
    }
}

impl<T: Float> Fused<T> for Block {
    fn fused<'a>(
        &'a self,
        batches: Vec<Passing<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let calls: Vec<Call> = batches.iter().map(|batch| batch.call).collect();
        let mut shortcuts = vec![];
        for Passing { x, .. } in &batches {
            let other = !self.is_identity(&x.sizes);
            shortcuts.push(other.then(|| pool::shortcut(x, self.stride, self.channels, workspace)));
        }
        let inner = self.first.convolve(batches, &[], self.second.border(), workspace)?;
        let (inner, firsts): (Vec<_>, Vec<_>) = inner.into_iter().unzip();
        let inner = inner.into_iter().zip(calls).map(|(x, call)| Passing { x, call }).collect();
        let residuals: Vec<_> =
            shortcuts.iter().zip(&firsts).map(|(s, first)| s.as_ref().unwrap_or(&first.x)).collect();
        let outputs = self.second.convolve(inner, &residuals, border, workspace)?;
        let made = outputs.into_iter().zip(firsts).zip(shortcuts);
        let outputs = made.map(|(((y, second), first), shortcut)| {
            Output::new(y, move |g, wanted, gradients| {
                let residual = shortcut.as_ref().unwrap_or(&first.x);
                let (preimage, through) = second.backward(Some(residual), g, gradients)?;
                // What was saved makes room for the gradients as soon as it has done its duty.
                let is_identity = shortcut.is_none();
                drop(shortcut);
                let inner = preimage.input_gradient(None)?;
                let (preimage, _) = first.backward(None, inner, gradients)?;
                if !wanted {
                    return Ok(None);
                }
                if is_identity {
                    return preimage.input_gradient(Some(through)).map(Some);
                }
                let mut dx = preimage.input_gradient(None)?;
                pool::add_shortcut_gradient(&mut dx, self.stride, &through);
                Ok(Some(dx))
            })
        });
        Ok(outputs.collect())
    }
}
