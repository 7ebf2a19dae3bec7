//! Optimizers: one file each, one trait, one table that names them ([`OPTIMIZERS`]).

mod adamw;
mod sgd;

use std::collections::HashMap;
use std::fmt::Debug;

use candle_core::{Result, Tensor, Var, bail};

use crate::config::Config;
use crate::lookup::lookup;
use crate::model::Gradients;

/// An entry of [`OPTIMIZERS`].
pub struct Kind {
    /// Name in commands, files and tables.
    pub name: &'static str,
    /// One line of explanation.
    pub about: &'static str,
    /// The default base learning rate.
    pub lr: f64,
    /// Its own settings; with an optimizer that does not list them, they have no effect.
    pub settings: &'static [&'static str],
    /// Checks its settings; the message says what is wrong and what to do.
    check: fn(&Config) -> std::result::Result<(), String>,
    rule: fn(&Config) -> Box<dyn Rule>,
}

/// Every optimizer the program knows.
pub static OPTIMIZERS: &[Kind] = &[sgd::KIND, adamw::KIND];

impl Kind {
    /// Checks its settings, whether or not this optimizer is chosen.
    ///
    /// # Errors
    /// A setting that makes no sense: the message says what is wrong and what to do.
    pub fn check(&self, config: &Config) -> std::result::Result<(), String> {
        (self.check)(config)
    }

    /// Names of the tensors it keeps for every parameter under those settings.
    pub fn slots(&self, config: &Config) -> &'static [&'static str] {
        (self.rule)(config).slots()
    }
}

/// The optimizer of that name.
///
/// # Errors
/// An unknown name: the message lists the known ones and the closest.
pub fn find(name: &str) -> crate::Result<&'static Kind> {
    lookup("optimizer", name, OPTIMIZERS, |kind| kind.name)
}

/// An update rule for parameters.
pub trait Rule: Debug + Send + Sync {
    /// Names of the tensors it keeps for each parameter, of its shape and initially zeros; in checkpoints they are
    /// `train.<slot>.<parameter>`.
    fn slots(&self) -> &'static [&'static str];

    /// Updates a parameter, and the tensors kept for it, in place.
    fn update(&self, parameter: &Tensor, gradient: &Tensor, kept: &[Tensor], step: Step) -> Result<()>;
}

/// An update of one parameter.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The learning rate.
    pub rate: f64,
    /// The parameter's weight decay.
    pub decay: f64,
    /// The update's number, from 1.
    pub number: usize,
}

/// The parameters of a network and their update rule.
#[derive(Debug)]
pub struct Optimizer {
    rule: Box<dyn Rule>,
    parameters: Vec<Parameter>,
    updates: usize,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    var: Var,
    decay: f64,
    /// By slot; empty before the first update.
    kept: Vec<Tensor>,
}

impl Optimizer {
    /// The optimizer that `config` names, for `parameters`. Without `decay_norm`, vectors (the scales and shifts of
    /// normalizers, and biases) are exempt from weight decay.
    ///
    /// # Errors
    /// An unknown name.
    pub fn new(parameters: Vec<(String, Var)>, config: &Config) -> crate::Result<Self> {
        let parameters = parameters.into_iter().map(|(name, var)| {
            let exempt = var.rank() < 2 && !config.decay_norm;
            Parameter { name, var, decay: if exempt { 0.0 } else { config.weight_decay }, kept: vec![] }
        });
        let rule = (find(&config.optimizer)?.rule)(config);
        Ok(Self { rule, parameters: parameters.collect(), updates: 0 })
    }

    /// One update. Parameters without a gradient stay as they are.
    pub fn step(&mut self, gradients: &Gradients, rate: f64) -> Result<()> {
        self.updates += 1;
        for Parameter { var, decay, kept, .. } in &mut self.parameters {
            let Some(gradient) = gradients.get(var) else { continue };
            let parameter = var.as_detached_tensor();
            if kept.is_empty() {
                *kept = self.rule.slots().iter().map(|_| parameter.zeros_like()).collect::<Result<_>>()?;
            }
            let step = Step { rate, decay: *decay, number: self.updates };
            self.rule.update(&parameter, gradient, kept, step)?;
        }
        Ok(())
    }

    /// The tensors kept for the parameters, as `<slot>.<parameter>`: with the number of updates, the whole state.
    pub fn state(&self) -> HashMap<String, Tensor> {
        let kept = |p: &Parameter| {
            let named =
                self.rule.slots().iter().zip(&p.kept).map(|(slot, t)| (format!("{slot}.{}", p.name), t.clone()));
            named.collect::<Vec<_>>()
        };
        self.parameters.iter().flat_map(kept).collect()
    }

    /// Restores the state after `updates` updates; parameters without state start afresh.
    ///
    /// # Errors
    /// A tensor whose shape is not its parameter's; a parameter with some of its tensors but not all.
    pub fn restore(&mut self, mut state: HashMap<String, Tensor>, updates: usize) -> Result<()> {
        self.updates = updates;
        for Parameter { name, var, kept, .. } in &mut self.parameters {
            let slots = self.rule.slots();
            let found: Vec<_> =
                slots.iter().filter_map(|slot| Some((slot, state.remove(&format!("{slot}.{name}"))?))).collect();
            if let Some((slot, tensor)) = found.iter().find(|(_, tensor)| tensor.shape() != var.shape()) {
                bail!("{slot} of `{name}` has shape {:?}, the parameter {:?}", tensor.shape(), var.shape());
            }
            if !found.is_empty() && found.len() < slots.len() {
                bail!("`{name}` has {} but not all of {}", found[0].0, slots.join(" and "));
            }
            *kept = found.into_iter().map(|(_, tensor)| tensor).collect();
        }
        Ok(())
    }
}
