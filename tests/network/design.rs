//! Design settings that a network's name does not determine.

use candle_core::{DType, Tensor};
use mbn::model::{Design, Initialization, Store};
use mbn::norm::{NORMS, Pass};
use mbn::ops;

use crate::support::{batch, designed, host};

#[test]
fn with_zero_init_residual_blocks_begin_as_their_shortcuts_whatever_the_normalizer() {
    let design = Design { zero_init_residual: true, ..Design::default() };
    for kind in NORMS {
        let cases = [("resnet8", "bn2.weight"), ("preact-resnet8", "conv2.weight")];
        for (name, zero) in cases.into_iter().filter(|(name, _)| !(kind.needs_producer && name.starts_with("pre"))) {
            let net = designed(name, kind.name, design, Store::fresh(0));
            let x = batch(3, 1, DType::F64).x;
            let logits = host(&net.forward(&x, Pass::Batch).unwrap());
            let zeros: Vec<_> = net.parameters().into_iter().filter(|(name, _)| name.ends_with(zero)).collect();
            assert_eq!(zeros.len(), 3);
            assert!(zeros.iter().all(|(_, var)| host(var).iter().all(|v| *v == 0.0)), "{name} {}", kind.name);
            // The branches have no effect.
            for (name, var) in net.parameters() {
                if name.starts_with("layer") && name.ends_with("conv1.weight") {
                    var.set(&(var.as_tensor() * -2.0).unwrap()).unwrap();
                }
            }
            assert_eq!(host(&net.forward(&x, Pass::Batch).unwrap()), logits, "{name} {}", kind.name);
            // They learn nevertheless, and a checkpoint's values are loaded unchanged.
            let loss = ops::cross_entropy(&net.forward(&x, Pass::Train).unwrap(), &batch(3, 1, DType::F64).y, 0.0);
            let gradients = loss.unwrap().backward().unwrap();
            assert!(zeros.iter().all(|(_, var)| host(gradients.get(var).unwrap()).iter().any(|g| *g != 0.0)));
            zeros.iter().for_each(|(_, var)| var.set(&var.ones_like().unwrap()).unwrap());
            let again = designed(name, kind.name, design, Store::from_tensors(net.tensors()));
            let ones = again.parameters().into_iter().filter(|(name, _)| name.ends_with(zero));
            assert!(ones.into_iter().all(|(_, var)| host(&var).iter().all(|v| *v == 1.0)));
        }
    }
}

#[test]
fn the_initialization_torch_is_pytorchs_default() {
    let net = designed("plain", "bn", Design { init: Initialization::Torch, ..Design::default() }, Store::fresh(0));
    for (name, var) in net.parameters().into_iter().filter(|(name, _)| !name.starts_with("bn")) {
        let fan_in = match &name[..] {
            "conv1.weight" | "conv1.bias" => 9,
            "fc.weight" | "fc.bias" => 64,
            _ => 9 * 64,
        };
        let (bound, values) = (1.0 / f64::from(fan_in).sqrt(), host(&var));
        assert!(values.iter().all(|v| v.abs() <= bound), "{name}");
        // Uniform: a standard deviation of bound/sqrt(3), within the sampling error.
        let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        let off = (variance / (bound * bound / 3.0) - 1.0).abs();
        assert!(off < 4.0 / (values.len() as f64).sqrt(), "{name}: {variance}");
    }
    let plain = designed("plain", "bn", Design::default(), Store::fresh(0));
    let bias = plain.parameters().into_iter().find(|(name, _)| name == "conv1.bias").unwrap().1;
    assert!(host(&bias).iter().all(|v| *v == 0.0));
}

/// The largest mean of a row, without its sign.
fn row_mean(weight: &Tensor) -> f64 {
    let means = weight.flatten_from(1).unwrap().mean(1).unwrap();
    host(&means).into_iter().map(f64::abs).fold(0.0, f64::max)
}

#[test]
fn centered_weights_have_mean_zero_before_normalizers_and_keep_it() {
    let design = Design { center_weights: true, ..Design::default() };
    let cases: [(_, _, &[&str]); 4] = [
        ("resnet8", "bn", &["fc.weight"]),
        ("preact-resnet8", "mbn", &["conv1.weight", "conv2.weight", "fc.weight"]),
        ("lenet", "gn", &["fc2.weight"]),
        ("plain", "none", &["conv1.weight", "fc.weight"]),
    ];
    for (name, norm, free) in cases {
        let net = designed(name, norm, design, Store::fresh(0));
        let batch = batch(3, 1, DType::F64);
        let loss = ops::cross_entropy(&net.forward(&batch.x, Pass::Train).unwrap(), &batch.y, 0.0).unwrap();
        let gradients = loss.backward().unwrap();
        let weights = net.parameters().into_iter().filter(|(_, var)| var.rank() > 1);
        let mut centered = 0;
        for (known, var) in weights {
            // In pre-activation blocks the second convolution has no normalizer after it, nor has the first layer.
            let is_free = free.iter().any(|free| known == *free || (name.starts_with("pre") && known.ends_with(free)));
            let is_free =
                is_free && !(name.starts_with("pre") && known.ends_with("conv1.weight") && known != "conv1.weight");
            let means = [var.as_tensor(), gradients.get(&var).unwrap()].map(row_mean);
            assert!(means.iter().all(|mean| (*mean > 1e-12) == is_free), "{name} {known}: {means:?}");
            centered += usize::from(!is_free);
        }
        assert!(centered > 1, "{name}");
    }
}

#[test]
fn a_checkpoint_is_centered_as_it_is_used() {
    let plain = designed("resnet8", "bn", Design::default(), Store::fresh(0));
    let design = Design { center_weights: true, ..Design::default() };
    let net = designed("resnet8", "bn", design, Store::from_tensors(plain.tensors()));
    for (name, var) in plain.parameters().into_iter().filter(|(name, var)| var.rank() > 1 && name != "fc.weight") {
        let rows = var.flatten_from(1).unwrap();
        let centered = rows.broadcast_sub(&rows.mean_keepdim(1).unwrap()).unwrap();
        var.set(&centered.reshape(var.shape()).unwrap()).unwrap();
        assert!(row_mean(&var) < 1e-12, "{name}");
    }
    let x = batch(3, 1, DType::F64).x;
    let [ours, theirs] = [&net, &plain].map(|net| host(&net.forward(&x, Pass::Eval).unwrap()));
    assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-10), "{ours:?} {theirs:?}");
}
