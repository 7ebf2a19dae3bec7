//! Caffe's LeNet (20-50-500) with a normalizer after every hidden layer.

use candle_core::{bail, Result, Tensor};

use super::unit::{Builder, Conv, ConvNorm, Linear, LinearNorm};
use super::{Forward, Task};
use crate::norm::Pass;
use crate::ops;

const CONV: Conv = Conv { size: 5, stride: 1, padding: 0 };

struct LeNet {
    conv1: ConvNorm,
    conv2: ConvNorm,
    fc1: LinearNorm,
    fc2: Linear,
}

pub(super) fn build(_: usize, task: Task, b: Builder) -> Result<Box<dyn Forward>> {
    let [channels, height, width] = task.shape;
    if height.min(width) < 16 {
        bail!("lenet: pictures of {height}x{width} are too small, 16x16 is the least");
    }
    // A 5x5 convolution without padding, then pooling by 2; twice.
    let side = |pixels: usize| ((pixels - 4) / 2 - 4) / 2;
    Ok(Box::new(LeNet {
        conv1: b.conv_norm("conv1", "bn1", [channels, 20], CONV)?,
        conv2: b.conv_norm("conv2", "bn2", [20, 50], CONV)?,
        fc1: b.linear_norm("fc1", "bn3", [50 * side(height) * side(width), 500])?,
        fc2: b.linear("fc2", [500, task.classes])?,
    }))
}

impl Forward for LeNet {
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let x = ops::max_pool2d(&self.conv1.relu(x, pass)?, 2)?;
        let x = ops::max_pool2d(&self.conv2.relu(&x, pass)?, 2)?;
        self.fc2.forward(&self.fc1.relu(&x.flatten_from(1)?, pass)?, pass)
    }
}
