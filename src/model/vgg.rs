//! VGG (Simonyan & Zisserman, ICLR 2015, arXiv 1409.1556) in the form used for CIFAR: 3x3 convolutions, each followed
//! by a normalizer and ReLU, pooling by 2 after every stage, one linear layer.

use candle_core::{Result, Tensor};

use super::unit::{Builder, Conv, ConvNorm, Linear};
use super::{Forward, Task};
use crate::norm::Pass;
use crate::ops;

/// Channels of the five stages, and how many convolutions each has, by depth.
const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];
const DEPTHS: [(usize, [usize; 5]); 4] =
    [(11, [1, 1, 2, 2, 2]), (13, [2, 2, 2, 2, 2]), (16, [2, 2, 3, 3, 3]), (19, [2, 2, 4, 4, 4])];

struct Vgg {
    stages: Vec<Vec<ConvNorm>>,
    classifier: Linear,
}

pub(super) fn has(depth: usize) -> bool {
    DEPTHS.iter().any(|(known, _)| *known == depth)
}

pub(super) fn build(depth: usize, task: Task, b: Builder) -> Result<Box<dyn Forward>> {
    let counts = DEPTHS.iter().find(|(known, _)| *known == depth).map(|(_, counts)| *counts).unwrap_or_default();
    let features = b.pp("features");
    // torchvision's numbering: convolution, normalizer and ReLU count one each, so does the pooling after a stage.
    let (mut stages, mut input, mut index) = (vec![], task.shape[0], 0);
    for (output, count) in CHANNELS.into_iter().zip(counts) {
        let mut stage = vec![];
        for _ in 0..count {
            let (conv, norm) = (index.to_string(), (index + 1).to_string());
            stage.push(features.conv_norm(&conv, &norm, [input, output], Conv { size: 3, stride: 1, padding: 1 })?);
            (input, index) = (output, index + 3);
        }
        stages.push(stage);
        index += 1;
    }
    Ok(Box::new(Vgg { stages, classifier: b.linear("classifier", [input, task.classes])? }))
}

impl Forward for Vgg {
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let mut x = x.clone();
        for stage in &self.stages {
            for conv in stage {
                x = conv.relu(&x, pass)?;
            }
            // 28x28 pictures are down to one pixel after four stages.
            if x.dim(2)?.min(x.dim(3)?) >= 2 {
                x = ops::max_pool2d(&x, 2)?;
            }
        }
        self.classifier.forward(&ops::global_avg_pool(&x)?, pass)
    }
}
