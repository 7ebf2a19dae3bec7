//! A perceptron: two hidden layers of 256, each linear map followed by a normalizer and ReLU.

use candle_core::{Result, Tensor};

use super::unit::{Builder, Linear, LinearNorm};
use super::{Forward, Task};
use crate::norm::Pass;

const WIDTH: usize = 256;

struct Mlp {
    hidden: [LinearNorm; 2],
    fc: Linear,
}

pub(super) fn build(_: usize, task: Task, b: Builder) -> Result<Box<dyn Forward>> {
    let inputs = task.shape.iter().product();
    Ok(Box::new(Mlp {
        hidden: [b.linear_norm("fc1", "bn1", [inputs, WIDTH])?, b.linear_norm("fc2", "bn2", [WIDTH, WIDTH])?],
        fc: b.linear("fc3", [WIDTH, task.classes])?,
    }))
}

impl Forward for Mlp {
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let mut x = x.flatten_from(1)?;
        for layer in &self.hidden {
            x = layer.relu(&x, pass)?;
        }
        self.fc.forward(&x, pass)
    }
}
