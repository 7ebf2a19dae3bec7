//! Residual networks for small images (He et al., CVPR 2016, arXiv 1512.03385, section 4.2).
//!
//! Depth 6n+2: a 3x3 convolution, three stages of n basic blocks with 16, 32 and 64 channels (stride 2 into the second
//! and third), shortcuts without parameters (option A) unless projections are asked for (option B), global average
//! pooling, one linear layer.

use candle_core::Result;

use super::Task;
use super::units::{Builder, ConvShape, GlobalAvgPool, Unit, Units};

/// The first convolution.
pub(super) const CONV: ConvShape = ConvShape { size: 3, stride: 1, padding: 1 };

/// Channels of the first convolution.
pub(super) const FIRST: usize = 16;

/// Channels of the last stage.
pub(super) const LAST: usize = 64;

pub(super) fn has(depth: usize) -> bool {
    depth >= 8 && depth % 6 == 2 && depth <= 1202
}

pub(super) fn build(depth: usize, task: Task, b: Builder) -> Result<Units> {
    let mut units: Units = vec![Box::new(b.conv_norm("conv1", "bn1", [task.shape[0], FIRST], CONV)?)];
    units.extend(stages(depth, &b, |b, channels, stride| Ok(Box::new(b.block(channels, stride)?)))?);
    units.push(Box::new(GlobalAvgPool));
    units.push(Box::new(b.linear("fc", [LAST, task.classes])?));
    Ok(units)
}

/// The three stages; `block` builds a block from its place, its channels in and out, and its stride.
pub(super) fn stages(
    depth: usize,
    b: &Builder,
    block: impl Fn(Builder, [usize; 2], usize) -> Result<Box<dyn Unit>>,
) -> Result<Units> {
    let (mut units, mut input): (Units, _) = (vec![], FIRST);
    for (stage, output) in [FIRST, 32, LAST].into_iter().enumerate() {
        for i in 0..(depth - 2) / 6 {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            units.push(block(b.pp(format!("layer{}.{i}", stage + 1)), [input, output], stride)?);
            input = output;
        }
    }
    Ok(units)
}
