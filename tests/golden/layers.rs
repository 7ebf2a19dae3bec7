//! Normalization layers and the loss: outputs, gradients, statistics, over several steps.

use candle_core::{Tensor, Var};
use candle_nn::VarMap;
use mbn::norm::{
    BatchNormConfig, GroupNormConfig, InferWith, MemorizedBatchNormConfig, Norm, Pass, PooledVariance, RefreshWith,
    StatGrad, batch_norm, group_norm, memorized_batch_norm,
};
use mbn::ops;
use serde::Deserialize;

use crate::support::{Summary, cases, close, parameter, tensor, variables};

/// A differentiated pass: the output y and the gradients of sum(y · g).
#[derive(Deserialize)]
struct TrainingPass {
    y: Summary,
    dx: Summary,
    dgamma: Summary,
    dbeta: Summary,
}

impl TrainingPass {
    /// Fails unless `layer`, whose scale and shift are in `vars`, gives the same for `x`.
    fn check(&self, what: &str, layer: &dyn Norm, vars: &VarMap, x: &Tensor, g: &str) {
        let x = Var::from_tensor(x).unwrap();
        let y = layer.forward(&x, Pass::Train).unwrap();
        self.y.check(&format!("{what}: y"), &y);
        let loss = (y * tensor(g, x.dims())).unwrap().sum_all().unwrap();
        let grads = loss.backward().unwrap();
        let vars = vars.data().lock().unwrap();
        for (name, var, expected) in
            [("dx", &x, &self.dx), ("dgamma", &vars["weight"], &self.dgamma), ("dbeta", &vars["bias"], &self.dbeta)]
        {
            expected.check(&format!("{what}: {name}"), grads.get(var).unwrap());
        }
    }
}

/// Gives a layer of `features` channels the scale and shift of the cases.
fn set_affine(vars: &VarMap, features: usize) {
    let vars = vars.data().lock().unwrap();
    vars["weight"].set(&parameter("gamma.weight", &[features])).unwrap();
    vars["bias"].set(&parameter("beta.bias", &[features])).unwrap();
}

/// The input of training step `t`, its mean moving with t.
fn input(t: usize, shape: &[usize]) -> Tensor {
    tensor(&format!("x{t}"), shape).affine(2.0, t as f64).unwrap()
}

/// The input after the last training step.
fn last_input(t: usize, shape: &[usize]) -> Tensor {
    tensor(&format!("x{t}"), shape).affine(2.0, 0.0).unwrap()
}

#[derive(Deserialize)]
struct BatchNormStep {
    #[serde(flatten)]
    trained: TrainingPass,
    mean: Summary,
    var: Summary,
}

#[derive(Deserialize)]
struct BatchNormCase {
    shape: Vec<usize>,
    momentum: f64,
    eps: f64,
    steps: Vec<BatchNormStep>,
    eval: Summary,
}

#[test]
fn batch_norm_is_pytorchs() {
    for case in cases::<BatchNormCase>(include_str!("batch_norm.json")) {
        let (vars, vb) = variables();
        let config = BatchNormConfig { eps: case.eps, momentum: case.momentum };
        let layer = batch_norm(case.shape[1], config, vb).unwrap();
        set_affine(&vars, case.shape[1]);
        for (t, step) in case.steps.iter().enumerate() {
            let what = format!("{:?} step {t}", case.shape);
            step.trained.check(&what, &layer, &vars, &input(t, &case.shape), &format!("g{t}"));
            let vars = vars.data().lock().unwrap();
            step.mean.check(&format!("{what}: running mean"), &vars["running_mean"]);
            step.var.check(&format!("{what}: running variance"), &vars["running_var"]);
        }
        case.eval.check("eval", &layer.forward(&last_input(case.steps.len(), &case.shape), Pass::Eval).unwrap());
    }
}

#[test]
fn memorized_batch_norm_of_size_1_trains_as_pytorchs_batch_norm() {
    for case in cases::<BatchNormCase>(include_str!("batch_norm.json")) {
        for (pool, stat_grad) in [(PooledVariance::Total, StatGrad::Weighted), (PooledVariance::Mean, StatGrad::Full)] {
            let (vars, vb) = variables();
            let config = MemorizedBatchNormConfig {
                size: 1,
                pool,
                stat_grad,
                eps: case.eps,
                ..MemorizedBatchNormConfig::default()
            };
            let layer = memorized_batch_norm(case.shape[1], config, vb).unwrap();
            set_affine(&vars, case.shape[1]);
            for (t, step) in case.steps.iter().enumerate() {
                let what = format!("{:?} {pool:?} {stat_grad:?} step {t}", case.shape);
                step.trained.check(&what, &layer, &vars, &input(t, &case.shape), &format!("g{t}"));
            }
        }
    }
}

#[derive(Deserialize)]
struct MemorizedStep {
    #[serde(flatten)]
    trained: TrainingPass,
    refresh: Option<Summary>,
}

#[derive(Deserialize)]
struct MemorizedCase {
    shape: Vec<usize>,
    size: usize,
    decay: f64,
    eps: f64,
    pool: PooledVariance,
    stat_grad: StatGrad,
    steps: Vec<MemorizedStep>,
    eval: Summary,
}

/// Autograd through the pooled statistics gives the same gradient as our closed form.
#[test]
fn memorized_batch_norm_is_what_autograd_makes_of_its_definition() {
    for case in cases::<MemorizedCase>(include_str!("memorized.json")) {
        let (vars, vb) = variables();
        let config = MemorizedBatchNormConfig {
            size: case.size,
            decay: case.decay,
            pool: case.pool,
            stat_grad: case.stat_grad,
            refresh: RefreshWith::Pooled,
            inference: InferWith::Memory,
            eps: case.eps,
            ..MemorizedBatchNormConfig::default()
        };
        let layer = memorized_batch_norm(case.shape[1], config, vb).unwrap();
        set_affine(&vars, case.shape[1]);
        for (t, step) in case.steps.iter().enumerate() {
            let what = format!("{:?} {:?} step {t}", case.pool, case.stat_grad);
            step.trained.check(&what, &layer, &vars, &input(t, &case.shape), &format!("g{t}"));
            if let Some(expected) = &step.refresh {
                let again = tensor("again", &case.shape).affine(1.0, t as f64).unwrap();
                expected.check(&format!("{what}: refresh"), &layer.forward(&again, Pass::REFRESH).unwrap());
            }
        }
        case.eval.check("eval", &layer.forward(&last_input(case.steps.len(), &case.shape), Pass::Eval).unwrap());
    }
}

#[derive(Deserialize)]
struct GroupNormCase {
    shape: Vec<usize>,
    groups: usize,
    eps: f64,
    #[serde(flatten)]
    trained: TrainingPass,
}

#[test]
fn group_norm_is_pytorchs() {
    for case in cases::<GroupNormCase>(include_str!("group_norm.json")) {
        let (vars, vb) = variables();
        let layer =
            group_norm(case.shape[1], GroupNormConfig { groups: case.groups, eps: case.eps, ..Default::default() }, vb)
                .unwrap();
        set_affine(&vars, case.shape[1]);
        let x = tensor("x", &case.shape).affine(2.0, 0.0).unwrap();
        case.trained.check(&format!("{:?} in {} groups", case.shape, case.groups), &layer, &vars, &x, "g");
        case.trained.y.check("eval", &layer.forward(&x, Pass::Eval).unwrap());
    }
}

#[derive(Deserialize)]
struct CrossEntropyCase {
    labels: Vec<u32>,
    smoothing: f64,
    loss: f64,
    grad: Summary,
}

#[test]
fn cross_entropy_with_label_smoothing_is_pytorchs() {
    for case in cases::<CrossEntropyCase>(include_str!("cross_entropy.json")) {
        let logits = tensor("logits", &[case.labels.len(), 7]).affine(8.0, 0.0).unwrap();
        let logits = Var::from_tensor(&logits).unwrap();
        let labels = Tensor::new(case.labels, logits.device()).unwrap();
        let loss = ops::cross_entropy(&logits, &labels, case.smoothing).unwrap();
        close(&format!("smoothing {}", case.smoothing), loss.to_scalar().unwrap(), case.loss, case.loss);
        case.grad.check("gradient", loss.backward().unwrap().get(&logits).unwrap());
    }
}
