//! MBN, both memories, against `scripts/mbn_torch.py`: a layer pass by pass, and networks update by update.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use mbn::model::{Network, Store, Task};
use mbn::norm::{MemorizedBatchNormConfig, Norm, NormSpec, Pass, memorized_batch_norm};
use mbn::ops;
use serde::Deserialize;
use toml::Table;

use crate::support::{Summary, cases, close, parameter, tensor, variables};

/// A tensor as described in the file.
#[derive(Deserialize)]
struct TensorSpec {
    name: String,
    shape: Vec<usize>,
    scale: f64,
    offset: f64,
}

impl TensorSpec {
    fn tensor(&self) -> Tensor {
        tensor(&self.name, &self.shape).affine(self.scale, self.offset).unwrap()
    }
}

// A few of them, in a test.
#[allow(clippy::large_enum_variant)]
#[derive(Deserialize)]
#[serde(tag = "pass", rename_all = "kebab-case")]
enum Kind {
    Train { g: TensorSpec, dx: Summary, dgamma: Summary, dbeta: Summary },
    Refresh { age: usize },
    Eval,
}

#[derive(Deserialize)]
struct LayerPass {
    #[serde(flatten)]
    kind: Kind,
    x: TensorSpec,
    gamma: TensorSpec,
    beta: TensorSpec,
    y: Summary,
    #[serde(default)]
    state: BTreeMap<String, Summary>,
}

#[derive(Deserialize)]
struct LayerCase {
    config: MemorizedBatchNormConfig,
    passes: Vec<LayerPass>,
}

#[test]
fn memorized_layer_does_pass_by_pass_what_the_pytorch_module_does() {
    for (i, case) in cases::<LayerCase>(include_str!("memorized_passes.json")).into_iter().enumerate() {
        let (vars, vb) = variables();
        let layer = memorized_batch_norm(case.passes[0].x.shape[1], case.config, vb).unwrap();
        let vars = vars.data().lock().unwrap();
        for (t, step) in case.passes.iter().enumerate() {
            let what = |part: &str| format!("case {i}, pass {t}: {part}");
            vars["weight"].set(&step.gamma.tensor()).unwrap();
            vars["bias"].set(&step.beta.tensor()).unwrap();
            let x = Var::from_tensor(&step.x.tensor()).unwrap();
            let pass = match step.kind {
                Kind::Train { .. } => Pass::Train,
                Kind::Refresh { age } => Pass::Refresh { age },
                Kind::Eval => Pass::Eval,
            };
            let y = layer.forward(&x, pass).unwrap();
            step.y.check(&what("y"), &y);
            if let Kind::Train { g, dx, dgamma, dbeta } = &step.kind {
                let grads = (y * g.tensor()).unwrap().sum_all().unwrap().backward().unwrap();
                dx.check(&what("dx"), grads.get(&x).unwrap());
                dgamma.check(&what("dgamma"), grads.get(&vars["weight"]).unwrap());
                dbeta.check(&what("dbeta"), grads.get(&vars["bias"]).unwrap());
            }
            for (name, expected) in &step.state {
                expected.check(&what(name), &vars[name]);
            }
        }
    }
}

#[derive(Deserialize)]
struct Update {
    logits: Vec<Summary>,
    loss: f64,
    refreshed: Vec<Summary>,
}

#[derive(Deserialize)]
struct NetworkCase {
    model: String,
    channels: usize,
    size: usize,
    classes: usize,
    config: Table,
    rate: f64,
    labels: Vec<Vec<u32>>,
    updates: Vec<Update>,
    gradients: BTreeMap<String, Summary>,
    running: BTreeMap<String, Summary>,
    eval: Summary,
}

impl NetworkCase {
    fn input(&self, name: &str) -> Tensor {
        tensor(name, &[self.labels[0].len(), self.channels, self.size, self.size])
    }

    /// Our network, its parameters set to the values of the case.
    fn build(&self) -> (Network, Vec<(String, Var)>) {
        let task = Task { shape: [self.channels, self.size, self.size], classes: self.classes };
        let spec = NormSpec::new("mbn", &self.config).unwrap();
        let net = Network::new(self.model.as_str(), task, &spec, Store::fresh(0), DType::F64, &Device::Cpu).unwrap();
        let parameters: Vec<(String, Var)> = net.parameters().into_iter().collect();
        for (name, var) in &parameters {
            var.set(&parameter(name, var.dims())).unwrap();
        }
        (net, parameters)
    }
}

/// Cross-entropy of a micro-batch, one of `parts` of an update, and its gradients, added to `sums`.
fn backward(logits: &Tensor, labels: &[u32], parts: usize, parameters: &[(String, Var)], sums: &mut [Tensor]) -> f64 {
    let labels = Tensor::new(labels, logits.device()).unwrap();
    let loss = (ops::cross_entropy(logits, &labels, 0.0).unwrap() / parts as f64).unwrap();
    let grads = loss.backward().unwrap();
    for ((_, var), sum) in parameters.iter().zip(sums) {
        *sum = (&*sum + grads.get(var).unwrap()).unwrap();
    }
    loss.to_scalar().unwrap()
}

#[test]
fn memorized_networks_train_update_by_update_as_in_pytorch() {
    for case in cases::<NetworkCase>(include_str!("memorized_networks.json")) {
        let (net, parameters) = case.build();
        let mut sums = vec![];
        for (u, update) in case.updates.iter().enumerate() {
            let what = |part: &str| format!("{}, update {u}: {part}", case.model);
            let parts: Vec<Tensor> = (0..case.labels.len()).map(|i| case.input(&format!("x{u}{i}"))).collect();
            sums = parameters.iter().map(|(_, var)| var.zeros_like().unwrap()).collect();
            let mut loss = 0.0;
            for ((x, labels), expected) in parts.iter().zip(&case.labels).zip(&update.logits) {
                let logits = net.forward(x, Pass::Train).unwrap();
                expected.check(&what("logits"), &logits);
                loss += backward(&logits, labels, parts.len(), &parameters, &mut sums);
            }
            close(&what("loss"), loss, update.loss, update.loss);
            for ((_, var), sum) in parameters.iter().zip(&sums) {
                var.set(&(var.as_detached_tensor() - sum.affine(case.rate, 0.0).unwrap()).unwrap()).unwrap();
            }
            for ((age, x), expected) in (0..parts.len()).rev().zip(&parts).zip(&update.refreshed) {
                expected.check(&what("refreshed logits"), &net.forward(x, Pass::Refresh { age }).unwrap());
            }
        }
        for ((name, _), sum) in parameters.iter().zip(&sums) {
            case.gradients[name].check(&format!("{}: gradient of {name}", case.model), sum);
        }
        let vars: BTreeMap<_, _> = net.store().vars().into_iter().collect();
        for (name, expected) in &case.running {
            expected.check(&format!("{}: {name}", case.model), &vars[name]);
        }
        case.eval.check(&format!("{}: eval", case.model), &net.forward(&case.input("x"), Pass::Eval).unwrap());
    }
}
