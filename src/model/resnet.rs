//! Residual networks for small pictures (He et al., CVPR 2016, arXiv 1512.03385, section 4.2).
//!
//! Depth 6n+2: a 3x3 convolution, three stages of n basic blocks with 16, 32 and 64 channels (stride 2 into the second
//! and third), shortcuts without parameters (option A), global average pooling, one linear layer.

use candle_core::Result;

use super::unit::{Block, Builder, Conv, Unit};
use super::Task;

fn conv(stride: usize) -> Conv {
    Conv { size: 3, stride, padding: 1 }
}

pub(super) fn build(depth: usize, task: Task, b: Builder) -> Result<Vec<Unit>> {
    let mut units = vec![Unit::Conv(b.conv_norm("conv1", "bn1", [task.shape[0], 16], conv(1))?)];
    let mut input = 16;
    for (stage, output) in [16, 32, 64].into_iter().enumerate() {
        for i in 0..(depth - 2) / 6 {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            units.push(Unit::Block(block([input, output], stride, b.pp(format!("layer{}.{i}", stage + 1)))?));
            input = output;
        }
    }
    units.push(Unit::GlobalAvgPool);
    units.push(Unit::Last(b.linear("fc", [input, task.classes])?));
    Ok(units)
}

/// The basic block.
fn block([input, output]: [usize; 2], stride: usize, b: Builder) -> Result<Block> {
    Ok(Block {
        conv1: b.conv_norm("conv1", "bn1", [input, output], conv(stride))?,
        conv2: b.conv_norm("conv2", "bn2", [output, output], conv(1))?,
        stride,
        channels: output,
    })
}
