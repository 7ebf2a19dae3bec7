//! A perceptron: two hidden layers of 256, each linear map followed by a normalizer and ReLU.

use candle_core::Result;

use super::unit::{Builder, Unit};
use super::Task;

const WIDTH: usize = 256;

pub(super) fn build(_: usize, task: Task, b: Builder) -> Result<Vec<Unit>> {
    let inputs = task.shape.iter().product();
    Ok(vec![
        Unit::Flatten,
        Unit::Linear(b.linear_norm("fc1", "bn1", [inputs, WIDTH])?),
        Unit::Linear(b.linear_norm("fc2", "bn2", [WIDTH, WIDTH])?),
        Unit::Last(b.linear("fc3", [WIDTH, task.classes])?),
    ])
}
