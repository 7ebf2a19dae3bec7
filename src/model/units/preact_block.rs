//! He et al.'s block with pre-activation: conv(relu(norm(conv(relu(norm(x)))))) + shortcut.
//!
//! The shortcut is x itself or, where the block changes the map's size, either x subsampled and zero-padded (option A) or a
//! 1x1 convolution of relu(norm(x)).

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::block::ShortcutOutput;
use super::convolution::ConvTape;
use super::{ConvNorm, Convolution, Fused, NormRelu, Output, Unit, norm_relu};
use crate::kernel::Float;
use crate::model::fused::{Map, PassInput, Sizes, Workspace, pool};
use crate::norm::Call;
use crate::ops;

/// A normalizer and ReLU, a convolution with another normalizer and ReLU, a convolution, a shortcut.
#[derive(Debug)]
pub struct PreactBlock {
    before: NormRelu,
    first: ConvNorm,
    last: Convolution,
    /// Applied to every `stride`-th pixel.
    projection: Option<Convolution>,
    stride: usize,
    channels: usize,
}

impl PreactBlock {
    /// The first convolution has that stride; both have `channels` output channels.
    pub fn new(before: NormRelu, first: ConvNorm, last: Convolution, stride: usize, channels: usize) -> Self {
        Self { before, first, last, projection: None, stride, channels }
    }

    /// The same with a 1x1 convolution of every `stride`-th pixel as the shortcut.
    pub fn projected(self, projection: Convolution) -> Self {
        Self { projection: Some(projection), ..self }
    }

    fn is_identity(&self, x: &Sizes) -> bool {
        self.projection.is_none() && self.stride == 1 && self.channels == x.c
    }
}

impl Unit for PreactBlock {
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor> {
        let a = self.before.forward(x, call)?;
        let shortcut = match &self.projection {
            Some(projection) => projection.forward(&ops::shortcut(&a, self.stride, a.dim(1)?)?, call)?,
            None => ops::shortcut(x, self.stride, self.channels)?,
        };
        self.last.forward(&self.first.forward(&a, call)?, call)? + shortcut
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        let (first, inner) = self.first.multiplications(x)?;
        let (last, y) = self.last.multiplications(inner)?;
        let kept = pool::kept(&x, self.stride, x.c);
        let beside = self.projection.as_ref().map_or(Ok(0), |p| p.multiplications(kept).map(|(count, _)| count))?;
        Ok((first + last + beside, y))
    }
}

impl<T: Float> Fused<T> for PreactBlock {
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        let (mut inputs, mut befores): (Vec<_>, Vec<norm_relu::NormTape<T>>) = (vec![], vec![]);
        for batch in batches {
            let call = batch.call;
            let (x, before) = self.before.normalize(batch, self.first.border(), workspace)?;
            inputs.push(PassInput { x, call });
            befores.push(before);
        }
        let calls: Vec<Call> = inputs.iter().map(|input| input.call).collect();
        let mut shortcuts: Vec<ShortcutOutput<T, ConvTape<T>>> = vec![];
        match &self.projection {
            Some(projection) => {
                let kept = |x: &Map<T>| pool::shortcut(x, self.stride, x.sizes.c, workspace);
                let kept = inputs.iter().map(|PassInput { x, call }| PassInput { x: kept(x), call: *call }).collect();
                for made in projection.convolve(kept, |_| false, workspace)? {
                    shortcuts.push((Some(made.z), Some(made.tape)));
                }
            }
            None => shortcuts.extend(befores.iter().map(|before| match self.is_identity(&before.x.sizes) {
                true => (None, None),
                false => (Some(pool::shortcut(&before.x, self.stride, self.channels, workspace)), None),
            })),
        }
        let inner = self.first.convolve(inputs, &[], self.last.border(), workspace)?;
        let (inner, firsts): (Vec<_>, Vec<_>) = inner.into_iter().unzip();
        let inner = inner.into_iter().zip(calls).map(|(x, call)| PassInput { x, call }).collect();
        let lasts = self.last.convolve(inner, |_| false, workspace)?;
        let mut outputs = vec![];
        for (((mut last, first), before), (added, beside)) in lasts.into_iter().zip(firsts).zip(befores).zip(shortcuts)
        {
            last.z.add(added.as_ref().unwrap_or(&before.x));
            let tape = last.tape;
            outputs.push(Output::new(last.z.with_border(border), move |g: Map<T>, wanted, gradients| {
                let dz = g.bordered(tape.border());
                let inner = tape.backward(dz, gradients)?.input_gradient(None)?;
                let (output_gradient, _) = first.backward(None, inner, gradients)?;
                let mut da = output_gradient.input_gradient(None)?;
                if let Some(tape) = beside {
                    let dz = g.bordered(tape.border());
                    let through = tape.backward(dz, gradients)?.input_gradient(None)?;
                    pool::add_shortcut_gradient(&mut da, self.stride, &through);
                    return Ok(wanted.then_some(before.backward(da, gradients)?));
                }
                let mut dx = before.backward(da, gradients)?;
                pool::add_shortcut_gradient(&mut dx, self.stride, &g);
                Ok(wanted.then_some(dx))
            }));
        }
        Ok(outputs)
    }
}
