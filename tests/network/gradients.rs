//! Gradients of whole networks, and which passes record them.

use candle_core::{DType, Device, Tensor};
use mbn::model::Network;
use mbn::norm::{NORMS, Pass};
use mbn::ops;

use crate::support::{batch, host, network};

/// The loss of a fresh network with the second pass's statistics in a memory of two, so that history matters, with one
/// parameter moved.
fn loss(model: &str, norm: &str, moved: Option<(&str, usize, f64)>) -> (Network, Tensor) {
    let net = network(model, norm);
    net.forward(&batch(3, 1, DType::F64).x, Pass::Train).unwrap();
    if let Some((name, index, by)) = moved {
        let (_, var) = net.parameters().into_iter().find(|(n, _)| n == name).unwrap();
        let mut values = host(var.as_tensor());
        values[index] += by;
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    let two = batch(3, 2, DType::F64);
    let loss = ops::cross_entropy(&net.forward(&two.x, Pass::Train).unwrap(), &two.y, 0.1).unwrap();
    (net, loss)
}

#[test]
fn gradients_of_whole_networks_are_those_of_finite_differences() {
    for (model, norms) in [
        ("mlp", &["mbn"][..]),
        ("lenet", &["bn", "mbn", "gn", "none"]),
        ("plain", &["none"]),
        ("resnet8", &["bn", "mbn", "gn"]),
        ("resnet8 with projections", &["frn"]),
        ("preact-resnet8", &["mbn"]),
        ("preact-resnet8 with projections", &["gn"]),
    ] {
        for norm in norms {
            let (net, value) = loss(model, norm, None);
            let grads = value.backward().unwrap();
            for (name, var) in net.parameters() {
                let grad = host(grads.get(&var).unwrap_or_else(|| panic!("{model} {norm}: no gradient for {name}")));
                let scale = grad.iter().fold(1e-4f64, |m, g| m.max(g.abs()));
                // The entry with the largest gradient, and one in the middle.
                let largest = (0..grad.len()).max_by(|a, b| grad[*a].abs().total_cmp(&grad[*b].abs())).unwrap();
                for index in [largest, grad.len() / 2] {
                    let at = |h: f64| loss(model, norm, Some((&name, index, h))).1.to_scalar::<f64>().unwrap();
                    // Five points; the step stays below the distance to the next ReLU or pooling kink for this data.
                    let h = 1e-6;
                    let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                    let error = (slope - grad[index]).abs() / scale;
                    assert!(error < 1e-6, "{model} {norm} {name}[{index}]: {} vs {slope}", grad[index]);
                }
            }
        }
    }
}

#[test]
fn only_training_s_passes_keep_a_graph() {
    for kind in NORMS {
        let net = network(if kind.name == "in" { "resnet8" } else { "lenet" }, kind.name);
        let x = batch(3, 1, DType::F64).x;
        assert!(net.forward(&x, Pass::Train).unwrap().track_op());
        assert!(net.forward(&x, Pass::Frozen).unwrap().track_op());
        for pass in [Pass::Probe, Pass::Eval, Pass::Weighed { weight: 0.5 }, Pass::Observe, Pass::Batch] {
            assert!(!net.forward(&x, pass).unwrap().track_op(), "{} {pass:?}", kind.name);
        }
    }
}
