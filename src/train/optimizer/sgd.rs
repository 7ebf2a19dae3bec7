//! Stochastic gradient descent with momentum, also Nesterov's, and weight decay, as PyTorch's SGD (candle's has none of the
//! three): d = g + w p; b = m b + d (initially b = d); p -= lr b, or lr (d + m b) for Nesterov.

use candle_core::{Result, Tensor};

use super::{Kind, Rule, Step};
use crate::config::Config;
use crate::ops::{self, SgdStep};

pub(super) const KIND: Kind = Kind {
    name: "sgd",
    about: "stochastic gradient descent; settings momentum and nesterov",
    lr: 0.1,
    settings: &["momentum", "nesterov"],
    check,
    rule: |config| Box::new(Sgd { momentum: config.momentum, nesterov: config.nesterov }),
};

fn check(config: &Config) -> std::result::Result<(), String> {
    let momentum = config.momentum;
    if !(0.0..1.0).contains(&momentum) {
        return Err(format!("momentum = {momentum}: must be in [0, 1)"));
    }
    match config.nesterov && momentum == 0.0 {
        true => Err("nesterov = true needs momentum; set momentum to 0.9, for example, or leave nesterov out".into()),
        false => Ok(()),
    }
}

#[derive(Debug)]
struct Sgd {
    momentum: f64,
    nesterov: bool,
}

impl Rule for Sgd {
    fn slots(&self) -> &'static [&'static str] {
        match self.momentum == 0.0 {
            true => &[],
            false => &["momentum"],
        }
    }

    fn update(&self, parameter: &Tensor, gradient: &Tensor, kept: &[Tensor], step: Step) -> Result<()> {
        let by = SgdStep { rate: step.rate, momentum: self.momentum, decay: step.decay, nesterov: self.nesterov };
        ops::sgd_step(parameter, gradient, kept.first(), by)
    }
}
