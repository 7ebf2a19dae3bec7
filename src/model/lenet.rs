//! Caffe's LeNet (20-50-500) with a normalizer after every hidden layer.

use candle_core::{Result, bail};

use super::Task;
use super::units::{Builder, ConvShape, Flatten, Units};

const CONV: ConvShape = ConvShape { size: 5, stride: 1, padding: 0 };

pub(super) fn build(_: usize, task: Task, b: Builder) -> Result<Units> {
    let [channels, height, width] = task.shape;
    if height.min(width) < 16 {
        bail!("lenet: images of {height}x{width} are too small; at least 16x16 is needed");
    }
    // A 5x5 convolution without padding, then pooling by 2; twice.
    let side = |pixels: usize| ((pixels - 4) / 2 - 4) / 2;
    Ok(vec![
        Box::new(b.conv_norm("conv1", "bn1", [channels, 20], CONV)?.pooled()),
        Box::new(b.conv_norm("conv2", "bn2", [20, 50], CONV)?.pooled()),
        Box::new(Flatten),
        Box::new(b.linear_norm("fc1", "bn3", [50 * side(height) * side(width), 500])?),
        Box::new(b.linear("fc2", [500, task.classes])?),
    ])
}
