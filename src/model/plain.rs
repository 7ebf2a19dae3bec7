//! Five 3x3 convolutions of 64 channels with biases at the full size of the images, a normalizer and ReLU after all but
//! the first, global average pooling, one linear layer: the network of a public comparison of normalizers by batch size
//! (gdd72582/AI-Lectures-and-Tutorials, assignment 1, question 5), which uses `init = "torch"`.

use candle_core::Result;

use super::Task;
use super::units::{Builder, ConvShape, GlobalAvgPool, Units};

const CONV: ConvShape = ConvShape { size: 3, stride: 1, padding: 1 };
const WIDTH: usize = 64;

pub(super) fn build(_: usize, task: Task, b: Builder) -> Result<Units> {
    let mut units: Units = vec![Box::new(b.biased_convolution("conv1", [task.shape[0], WIDTH], CONV)?)];
    for i in 2..=5 {
        units.push(Box::new(b.biased_conv_norm(&format!("conv{i}"), &format!("bn{i}"), [WIDTH; 2], CONV)?));
    }
    units.push(Box::new(GlobalAvgPool));
    units.push(Box::new(b.linear("fc", [WIDTH, task.classes])?));
    Ok(units)
}
