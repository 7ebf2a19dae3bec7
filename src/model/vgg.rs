//! VGG (Simonyan & Zisserman, ICLR 2015, arXiv 1409.1556) in the form used for CIFAR: 3x3 convolutions, each followed
//! by a normalizer and ReLU, pooling by 2 after every stage, one linear layer.

use candle_core::Result;

use super::Task;
use super::units::{Builder, ConvShape, GlobalAvgPool, Units};

/// Channels of the five stages, and how many convolutions each has, by depth.
const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];
const DEPTHS: [(usize, [usize; 5]); 4] =
    [(11, [1, 1, 2, 2, 2]), (13, [2, 2, 2, 2, 2]), (16, [2, 2, 3, 3, 3]), (19, [2, 2, 4, 4, 4])];

pub(super) fn has(depth: usize) -> bool {
    DEPTHS.iter().any(|(known, _)| *known == depth)
}

pub(super) fn build(depth: usize, task: Task, b: Builder) -> Result<Units> {
    let counts = DEPTHS.iter().find(|(known, _)| *known == depth).map(|(_, counts)| *counts).unwrap_or_default();
    let features = b.pp("features");
    // torchvision's numbering: convolution, normalizer, ReLU, and the pooling after a stage, count one each.
    let (mut units, mut input, mut index): (Units, _, _) = (vec![], task.shape[0], 0);
    let mut side = task.shape[1].min(task.shape[2]);
    for (output, count) in CHANNELS.into_iter().zip(counts) {
        // 28x28 images are down to one pixel after four stages.
        let pooled = side >= 2;
        for last in (0..count).map(|i| i + 1 == count) {
            let (conv, norm) = (index.to_string(), (index + 1).to_string());
            let shape = ConvShape { size: 3, stride: 1, padding: 1 };
            let unit = features.conv_norm(&conv, &norm, [input, output], shape)?;
            units.push(Box::new(if last && pooled { unit.pooled() } else { unit }));
            (input, index) = (output, index + 3);
        }
        side /= 2;
        index += 1;
    }
    units.push(Box::new(GlobalAvgPool));
    units.push(Box::new(b.linear("classifier", [input, task.classes])?));
    Ok(units)
}
