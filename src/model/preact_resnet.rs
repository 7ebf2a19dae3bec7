//! Residual networks with a normalizer and ReLU before each convolution (He et al., ECCV 2016, arXiv 1603.05027): a convolution
//! by itself, the stages of [`super::resnet`], a normalizer and ReLU after the last.

use candle_core::Result;

use super::Task;
use super::resnet::{CONV, FIRST, LAST, stages};
use super::units::{Builder, GlobalAvgPool, Units};

pub(super) fn build(depth: usize, task: Task, b: Builder) -> Result<Units> {
    let mut units: Units = vec![Box::new(b.convolution("conv1", [task.shape[0], FIRST], CONV)?)];
    units.extend(stages(depth, &b, |b, channels, stride| Ok(Box::new(b.preact_block(channels, stride)?)))?);
    units.push(Box::new(b.norm_relu("bn", LAST)?));
    units.push(Box::new(GlobalAvgPool));
    units.push(Box::new(b.linear("fc", [LAST, task.classes])?));
    Ok(units)
}
