//! Adam (Kingma & Ba, ICLR 2015, arXiv 1412.6980) with decoupled weight decay (Loshchilov & Hutter, ICLR 2019, arXiv
//! 1711.05101), as PyTorch's AdamW; without weight decay it is Adam. In the t-th update:
//!
//! p -= lr w p; m += (1 - beta1)(g - m); v = beta2 v + (1 - beta2) g²;
//! p -= lr m̂ / (sqrt(v̂) + eps), m̂ = m / (1 - beta1^t), v̂ = v / (1 - beta2^t).
//!
//! Its step is about lr whatever the gradient's size, so `lr_scaling` has another meaning than for SGD: `linear`
//! keeps the distance of an epoch the same for every batch size, `sqrt` follows from the gradient's noise (Malladi et al.,
//! NeurIPS 2022, arXiv 2205.10287), and `none` is one rate for all batch sizes, as in many recipes.

use candle_core::{Result, Tensor, bail};

use super::{Kind, Rule, Step};
use crate::config::Config;
use crate::ops::{self, AdamWStep};

pub(super) const KIND: Kind = Kind {
    name: "adamw",
    about: "Adam with decoupled weight decay; settings beta1, beta2 and adam_eps",
    lr: 0.001,
    settings: &["beta1", "beta2", "adam_eps"],
    check,
    rule: |config| Box::new(AdamW { betas: [config.beta1, config.beta2], eps: config.adam_eps }),
};

fn check(config: &Config) -> std::result::Result<(), String> {
    for (key, beta) in [("beta1", config.beta1), ("beta2", config.beta2)] {
        if !(0.0..1.0).contains(&beta) {
            return Err(format!("{key} = {beta}: must be in [0, 1)"));
        }
    }
    match config.adam_eps.is_finite() && config.adam_eps > 0.0 {
        true => Ok(()),
        false => Err(format!("adam_eps = {}: must be a finite number above 0", config.adam_eps)),
    }
}

#[derive(Debug)]
struct AdamW {
    betas: [f64; 2],
    eps: f64,
}

impl Rule for AdamW {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn update(&self, parameter: &Tensor, gradient: &Tensor, kept: &[Tensor], step: Step) -> Result<()> {
        let [first, second] = kept else { bail!("adamw: two tensors are kept beside a parameter, not {}", kept.len()) };
        let Step { rate, decay, number } = step;
        let by = AdamWStep { rate, betas: self.betas, eps: self.eps, decay, number };
        ops::adamw_step(parameter, gradient, [first, second], by)
    }
}
