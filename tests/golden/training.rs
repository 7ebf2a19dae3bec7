//! Optimizer and learning-rate schedules.

use std::collections::BTreeMap;

use candle_core::Var;
use mbn::config::{Config, LrScaling, ScheduleKind};
use mbn::model::Gradients;
use mbn::train::{Optimizer, Schedule};
use serde::Deserialize;

use crate::support::{Summary, cases, close, parameter, tensor};

#[derive(Deserialize)]
struct SgdCase {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    rates: Vec<f64>,
    steps: Vec<BTreeMap<String, Summary>>,
}

/// The gradient of parameter p is the tensor `<p>.grad<t>`.
fn given_gradients(parameters: &[(String, Var)], t: usize) -> Gradients {
    let mut gradients = Gradients::default();
    for (name, var) in parameters {
        gradients.add(var, tensor(&format!("{name}.grad{t}"), var.dims())).unwrap();
    }
    gradients
}

/// Demands that after each update with those rates parameters are as expected, with or without moving the state to another
/// optimizer halfway.
fn check(what: &str, config: &Config, rates: &[f64], steps: &[BTreeMap<String, Summary>]) {
    for taken_over in [false, true] {
        let shapes: [(&str, &[usize]); 2] = [("a.weight", &[2, 3]), ("b.bias", &[5])];
        let variable =
            |(name, shape): (&str, &[usize])| (name.to_string(), Var::from_tensor(&parameter(name, shape)).unwrap());
        let parameters: Vec<(String, Var)> = shapes.into_iter().map(variable).collect();
        let mut optimizer = Optimizer::new(parameters.clone(), config).unwrap();
        assert_eq!(rates.len(), steps.len());
        for (t, (&rate, expected)) in rates.iter().zip(steps).enumerate() {
            if taken_over && t == 2 {
                let state = optimizer.state();
                optimizer = Optimizer::new(parameters.clone(), config).unwrap();
                optimizer.restore(state, t).unwrap();
            }
            optimizer.step(&given_gradients(&parameters, t), rate).unwrap();
            for (name, var) in &parameters {
                expected[name].check(&format!("{what}, step {t}, taken over {taken_over}: {name}"), var);
            }
        }
    }
}

#[test]
fn sgd_is_pytorchs() {
    for case in cases::<SgdCase>(include_str!("sgd.json")) {
        let SgdCase { momentum, nesterov, weight_decay, .. } = case;
        let config = Config { momentum, nesterov, weight_decay, decay_norm: true, ..Config::default() };
        let what = format!("momentum {momentum}, nesterov {nesterov}, decay {weight_decay}");
        check(&what, &config, &case.rates, &case.steps);
    }
}

#[derive(Deserialize)]
struct AdamWCase {
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
    rates: Vec<f64>,
    steps: Vec<BTreeMap<String, Summary>>,
}

#[test]
fn adamw_is_pytorchs() {
    for case in cases::<AdamWCase>(include_str!("adamw.json")) {
        let AdamWCase { betas: [beta1, beta2], eps: adam_eps, weight_decay, .. } = case;
        let optimizer = "adamw".to_string();
        let config = Config { optimizer, beta1, beta2, adam_eps, weight_decay, decay_norm: true, ..Config::default() };
        let what = format!("betas {beta1} and {beta2}, eps {adam_eps}, decay {weight_decay}");
        check(&what, &config, &case.rates, &case.steps);
    }
}

#[derive(Deserialize)]
struct ScheduleCase {
    kind: ScheduleKind,
    lr: f64,
    steps_per_epoch: usize,
    epochs: usize,
    warmup_epochs: f64,
    milestones: Vec<f64>,
    gamma: f64,
    rates: Vec<f64>,
}

#[test]
fn schedules_are_pytorchs() {
    for case in cases::<ScheduleCase>(include_str!("schedules.json")) {
        let config = Config {
            lr: case.lr,
            lr_scaling: LrScaling::None,
            schedule: case.kind,
            epochs: case.epochs,
            warmup_epochs: case.warmup_epochs,
            milestones: case.milestones,
            lr_gamma: case.gamma,
            ..Config::default()
        };
        let schedule = Schedule::new(&config, case.steps_per_epoch);
        assert_eq!(case.rates.len(), case.epochs * case.steps_per_epoch);
        for (t, &theirs) in case.rates.iter().enumerate() {
            close(
                &format!("{:?} from {} at step {t}", case.kind, case.warmup_epochs),
                schedule.rate(t),
                theirs,
                case.lr,
            );
        }
    }
}
