//! A multilayer perceptron: two hidden layers of 256, each a linear layer, a normalizer and ReLU.

use candle_core::Result;

use super::Task;
use super::units::{Builder, Flatten, Units};

const WIDTH: usize = 256;

pub(super) fn build(_: usize, task: Task, b: Builder) -> Result<Units> {
    let inputs = task.shape.iter().product();
    Ok(vec![
        Box::new(Flatten),
        Box::new(b.linear_norm("fc1", "bn1", [inputs, WIDTH])?),
        Box::new(b.linear_norm("fc2", "bn2", [WIDTH, WIDTH])?),
        Box::new(b.linear("fc3", [WIDTH, task.classes])?),
    ])
}
