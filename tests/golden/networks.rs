//! Whole networks with BatchNorm: logits, loss, the gradient of every parameter, running statistics, inference.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use mbn::model::{Architecture, Design, Network, Shortcut, Store, Task};
use mbn::norm::{NormSpec, Pass};
use mbn::ops;
use serde::Deserialize;
use toml::Table;

use crate::support::{Summary, cases, close, parameter, tensor};

#[derive(Deserialize)]
struct Case {
    model: String,
    #[serde(default)]
    shortcut: Shortcut,
    channels: usize,
    size: usize,
    classes: usize,
    labels: Vec<u32>,
    shapes: BTreeMap<String, Vec<usize>>,
    logits: Summary,
    loss: f64,
    gradients: BTreeMap<String, Summary>,
    running: BTreeMap<String, Summary>,
    eval: Summary,
}

impl Case {
    /// Our network and its variables by name, set to the values of the case.
    fn build(&self) -> (Network, BTreeMap<String, Var>) {
        let task = Task { shape: [self.channels, self.size, self.size], classes: self.classes };
        let spec = NormSpec::new("bn", &Table::new()).unwrap();
        let design = Design { shortcut: self.shortcut, ..Design::default() };
        let network = Architecture { name: &self.model, design };
        let net = Network::new(network, task, &spec, Store::fresh(0), DType::F64, &Device::Cpu).unwrap();
        let vars: BTreeMap<_, _> = net.store().vars().into_iter().collect();
        let shapes = vars.iter().map(|(name, var)| (name.clone(), var.dims().to_vec())).collect();
        assert_eq!(self.shapes, shapes, "{}: names and shapes of the tensors", self.model);
        for (name, var) in &vars {
            var.set(&parameter(name, var.dims())).unwrap();
        }
        (net, vars)
    }
}

#[test]
fn networks_are_pytorchs() {
    for case in cases::<Case>(include_str!("networks.json")) {
        let what = |part: &str| format!("{}, {:?}, on {} channels: {part}", case.model, case.shortcut, case.channels);
        let (net, vars) = case.build();
        let x = tensor("x", &[case.labels.len(), case.channels, case.size, case.size]);
        let labels = Tensor::new(case.labels.as_slice(), x.device()).unwrap();
        let logits = net.forward(&x, Pass::Train).unwrap();
        case.logits.check(&what("logits"), &logits);
        let loss = ops::cross_entropy(&logits, &labels, 0.0).unwrap();
        close(&what("loss"), loss.to_scalar().unwrap(), case.loss, case.loss);

        let parameters: Vec<String> = net.parameters().into_iter().map(|(name, _)| name).collect();
        assert_eq!(parameters.len(), case.gradients.len(), "{}", what("number of parameters"));
        let grads = loss.backward().unwrap();
        for name in parameters {
            let (expected, ours) = (&case.gradients[&name], grads.get(&vars[&name]).unwrap());
            // That of a bias before a normalizer is 0.
            if expected.is_nothing() && name.ends_with(".bias") {
                let size = ours.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt();
                assert!(size < 1e-12, "{}", what(&name));
                continue;
            }
            expected.check(&what(&format!("gradient of {name}")), ours);
        }
        for (name, expected) in &case.running {
            expected.check(&what(name), &vars[name]);
        }
        case.eval.check(&what("logits in inference"), &net.forward(&x, Pass::Eval).unwrap());
    }
}
