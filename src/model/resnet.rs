//! Residual networks for small images (He et al., CVPR 2016, arXiv 1512.03385, section 4.2).
//!
//! Depth 6n+2: a 3x3 convolution, three stages of n basic blocks with 16, 32 and 64 channels (stride 2 into the second
//! and third), shortcuts without parameters (option A), global average pooling, one linear layer.

use candle_core::Result;

use super::units::{Builder, Conv, GlobalAvgPool, Units};
use super::Task;

const CONV: Conv = Conv { size: 3, stride: 1, padding: 1 };

pub(super) fn build(depth: usize, task: Task, b: Builder) -> Result<Units> {
    let mut units: Units = vec![Box::new(b.conv_norm("conv1", "bn1", [task.shape[0], 16], CONV)?)];
    let mut input = 16;
    for (stage, output) in [16, 32, 64].into_iter().enumerate() {
        for i in 0..(depth - 2) / 6 {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            units.push(Box::new(b.pp(format!("layer{}.{i}", stage + 1)).block([input, output], stride)?));
            input = output;
        }
    }
    units.push(Box::new(GlobalAvgPool));
    units.push(Box::new(b.linear("fc", [input, task.classes])?));
    Ok(units)
}
