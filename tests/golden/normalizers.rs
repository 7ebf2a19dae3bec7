//! Normalizers that PyTorch does not have, against their formulas in PyTorch's operations (`scripts/golden_images.py`,
//! `scripts/golden_rivals.py`): a few training steps and inference.

use std::collections::HashMap;

use candle_core::{Tensor, Var};
use mbn::norm::{Call, NormSpec, Pass, Progress, Site};
use serde::Deserialize;
use toml::Table;

use crate::support::{Summary, cases, parameter, tensor, variables};

#[derive(Deserialize)]
struct Step {
    y: Summary,
    dx: Summary,
    parameters: Vec<Summary>,
}

#[derive(Deserialize)]
struct Case {
    norm: String,
    params: Table,
    shape: Vec<usize>,
    names: Vec<String>,
    /// Steps of the whole training; 0 if unknown.
    #[serde(default)]
    of: usize,
    /// Random state, drawn with the initial weights.
    #[serde(default)]
    state: HashMap<String, f64>,
    steps: Vec<Step>,
    mean: Option<Summary>,
    var: Option<Summary>,
    eval: Summary,
}

/// Demands that the layers agree with PyTorch's values, step by step.
fn check(json: &str) {
    for (i, case) in cases::<Case>(json).into_iter().enumerate() {
        let what = |part: &str| format!("case {i}, {}: {part}", case.norm);
        let (vars, vb) = variables();
        let layer = NormSpec::new(&case.norm, &case.params).unwrap().build(Site::new(case.shape[1], vb)).unwrap();
        let vars = vars.data().lock().unwrap();
        for name in &case.names {
            vars[name].set(&parameter(name, vars[name].dims())).unwrap();
        }
        for (name, value) in &case.state {
            vars[name].set(&Tensor::full(*value, vars[name].shape(), vars[name].device()).unwrap()).unwrap();
        }
        for (t, step) in case.steps.iter().enumerate() {
            let x = tensor(&format!("x{t}"), &case.shape).affine(2.0, t as f64).unwrap();
            let x = Var::from_tensor(&x).unwrap();
            let progress = match case.of {
                0 => Progress::default(),
                steps => Progress { step: t, steps, parts: 1 },
            };
            let y = layer.forward_at(&x, Call { pass: Pass::Train, progress }, None).unwrap();
            step.y.check(&what(&format!("y of step {t}")), &y);
            let g = tensor(&format!("g{t}"), &case.shape);
            let grads = (y * g).unwrap().sum_all().unwrap().backward().unwrap();
            step.dx.check(&what(&format!("dx of step {t}")), grads.get(&x).unwrap());
            for (name, expected) in case.names.iter().zip(&step.parameters) {
                expected.check(&what(&format!("gradient of {name} in step {t}")), grads.get(&vars[name]).unwrap());
            }
        }
        if let (Some(mean), Some(var)) = (&case.mean, &case.var) {
            let running = layer.inference().unwrap();
            mean.check(&what("running mean"), &running.mean);
            var.check(&what("running variance"), &running.var);
        }
        let x = tensor(&format!("x{}", case.steps.len()), &case.shape).affine(2.0, 0.0).unwrap();
        case.eval.check(&what("eval"), &layer.forward(&x, Pass::Eval).unwrap());
    }
}

#[test]
fn layers_of_single_images_do_what_pytorch_does() {
    check(include_str!("images.json"));
}

#[test]
fn rivals_do_what_pytorch_does() {
    check(include_str!("rivals.json"));
}
