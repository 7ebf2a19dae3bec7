//! Stochastic gradient descent with momentum, Nesterov's form of it, and weight decay, as PyTorch's SGD has them
//! (candle's has none of the three).

use std::collections::HashMap;

use candle_core::{Result, Tensor, Var};

use crate::config::Config;
use crate::model::Gradients;
use crate::ops::{self, Descent};

/// The optimizer: d = g + w p; b = m b + d (b = d at first); p -= lr b, or lr (d + m b) for Nesterov.
#[derive(Debug)]
pub struct Sgd {
    parameters: Vec<Parameter>,
    momentum: f64,
    nesterov: bool,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    var: Var,
    weight_decay: f64,
    buffer: Option<Tensor>,
}

impl Sgd {
    /// An optimizer of `parameters` with the settings of `config`. Without `decay_norm`, vectors (the scales and shifts
    /// of normalizers, and biases) are exempt from weight decay.
    pub fn new(parameters: Vec<(String, Var)>, config: &Config) -> Self {
        let parameters = parameters.into_iter().map(|(name, var)| {
            let exempt = var.rank() < 2 && !config.decay_norm;
            Parameter { name, var, weight_decay: if exempt { 0.0 } else { config.weight_decay }, buffer: None }
        });
        Self { parameters: parameters.collect(), momentum: config.momentum, nesterov: config.nesterov }
    }

    /// One update. Parameters without a gradient stay as they are.
    pub fn step(&mut self, gradients: &Gradients, lr: f64) -> Result<()> {
        for parameter in &mut self.parameters {
            if let Some(grad) = gradients.get(&parameter.var) {
                parameter.step(grad, lr, self.momentum, self.nesterov)?;
            }
        }
        Ok(())
    }

    /// Momentum buffers by the name of their parameter: the optimizer's whole state.
    pub fn state(&self) -> HashMap<String, Tensor> {
        let buffers = self.parameters.iter().filter_map(|p| Some((p.name.clone(), p.buffer.clone()?)));
        buffers.collect()
    }

    /// Takes buffers over; parameters without one start afresh.
    ///
    /// # Errors
    /// A buffer whose shape is not its parameter's.
    pub fn restore(&mut self, mut state: HashMap<String, Tensor>) -> Result<()> {
        for parameter in &mut self.parameters {
            parameter.buffer = state.remove(&parameter.name);
            if let Some(buffer) = &parameter.buffer {
                if buffer.shape() != parameter.var.shape() {
                    let (name, got, want) = (&parameter.name, buffer.shape(), parameter.var.shape());
                    candle_core::bail!("momentum of `{name}` has shape {got:?}, the parameter {want:?}");
                }
            }
        }
        Ok(())
    }
}

impl Parameter {
    fn step(&mut self, gradient: &Tensor, rate: f64, momentum: f64, nesterov: bool) -> Result<()> {
        let parameter = self.var.as_detached_tensor();
        let by = Descent { rate, momentum, decay: self.weight_decay, nesterov };
        if momentum != 0.0 && self.buffer.is_none() {
            self.buffer = Some(parameter.zeros_like()?);
        }
        ops::descend(&parameter, gradient, self.buffer.as_ref(), by)
    }
}
