//! Residual networks for small pictures (He et al., CVPR 2016, arXiv 1512.03385, section 4.2).
//!
//! Depth 6n+2: a 3x3 convolution, three stages of n basic blocks with 16, 32 and 64 channels (stride 2 into the second
//! and third), shortcuts without parameters (option A), global average pooling, one linear layer.

use candle_core::{Result, Tensor};

use super::unit::{Builder, Conv, ConvNorm, Linear};
use super::{Forward, Task};
use crate::norm::Pass;
use crate::ops;

struct Block {
    conv1: ConvNorm,
    conv2: ConvNorm,
    stride: usize,
    channels: usize,
}

struct ResNet {
    stem: ConvNorm,
    blocks: Vec<Block>,
    fc: Linear,
}

fn conv(stride: usize) -> Conv {
    Conv { size: 3, stride, padding: 1 }
}

pub(super) fn build(depth: usize, task: Task, b: Builder) -> Result<Box<dyn Forward>> {
    let stem = b.conv_norm("conv1", "bn1", [task.shape[0], 16], conv(1))?;
    let (mut blocks, mut input) = (vec![], 16);
    for (stage, output) in [16, 32, 64].into_iter().enumerate() {
        for i in 0..(depth - 2) / 6 {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            blocks.push(Block::new([input, output], stride, b.pp(format!("layer{}.{i}", stage + 1)))?);
            input = output;
        }
    }
    Ok(Box::new(ResNet { stem, blocks, fc: b.linear("fc", [input, task.classes])? }))
}

impl Block {
    fn new([input, output]: [usize; 2], stride: usize, b: Builder) -> Result<Self> {
        Ok(Self {
            conv1: b.conv_norm("conv1", "bn1", [input, output], conv(stride))?,
            conv2: b.conv_norm("conv2", "bn2", [output, output], conv(1))?,
            stride,
            channels: output,
        })
    }

    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let shortcut = ops::shortcut(x, self.stride, self.channels)?;
        self.conv2.add_relu(&self.conv1.relu(x, pass)?, &shortcut, pass)
    }
}

impl Forward for ResNet {
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let mut x = self.stem.relu(x, pass)?;
        for block in &self.blocks {
            x = block.forward(&x, pass)?;
        }
        self.fc.forward(&ops::global_avg_pool(&x)?, pass)
    }
}
