//! Normalizers that look at images one by one, against `scripts/golden_images.py`: three training steps and inference.

use candle_core::Var;
use mbn::norm::{NormSpec, Pass, Site};
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
    steps: Vec<Step>,
    mean: Summary,
    var: Summary,
    eval: Summary,
}

#[test]
fn layers_of_single_images_do_what_pytorch_does() {
    for (i, case) in cases::<Case>(include_str!("images.json")).into_iter().enumerate() {
        let what = |part: &str| format!("case {i}, {}: {part}", case.norm);
        let (vars, vb) = variables();
        let layer = NormSpec::new(&case.norm, &case.params).unwrap().build(Site::new(case.shape[1], vb)).unwrap();
        let vars = vars.data().lock().unwrap();
        for name in &case.names {
            vars[name].set(&parameter(name, &[case.shape[1]])).unwrap();
        }
        for (t, step) in case.steps.iter().enumerate() {
            let x = tensor(&format!("x{t}"), &case.shape).affine(2.0, t as f64).unwrap();
            let x = Var::from_tensor(&x).unwrap();
            let y = layer.forward(&x, Pass::Train).unwrap();
            step.y.check(&what("y"), &y);
            let g = tensor(&format!("g{t}"), &case.shape);
            let grads = (y * g).unwrap().sum_all().unwrap().backward().unwrap();
            step.dx.check(&what("dx"), grads.get(&x).unwrap());
            for (name, expected) in case.names.iter().zip(&step.parameters) {
                expected.check(&what(name), grads.get(&vars[name]).unwrap());
            }
        }
        let running = layer.inference().unwrap();
        case.mean.check(&what("running mean"), &running.mean);
        case.var.check(&what("running variance"), &running.var);
        let x = tensor("x3", &case.shape).affine(2.0, 0.0).unwrap();
        case.eval.check(&what("eval"), &layer.forward(&x, Pass::Eval).unwrap());
    }
}
