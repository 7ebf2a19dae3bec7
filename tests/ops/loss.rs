//! Cross-entropy.

use crate::support::{assert_gradients, assert_same, list, random};
use candle_core::{Device, Tensor};
use mbn::ops::{self, plain};
use std::slice::from_ref;

fn targets(n: usize, classes: usize) -> Tensor {
    Tensor::from_iter((0..n).map(|i| (i * 7 % classes) as u32), &Device::Cpu).unwrap()
}

/// -Σ q log p with p spelled out, for logits that do not overflow.
fn reference(logits: &Tensor, targets: &Tensor, s: f64) -> f64 {
    let (rows, targets) = (logits.to_vec2::<f64>().unwrap(), targets.to_vec1::<u32>().unwrap());
    let mut sum = 0.0;
    for (row, &target) in rows.iter().zip(&targets) {
        let total: f64 = row.iter().map(|z| z.exp()).sum();
        for (class, z) in row.iter().enumerate() {
            let hit = if class == target as usize { 1.0 } else { 0.0 };
            sum -= ((1.0 - s) * hit + s / row.len() as f64) * (z.exp() / total).ln();
        }
    }
    sum / rows.len() as f64
}

#[test]
fn equals_the_definition_the_plain_form_and_finite_differences() {
    for (n, classes) in [(1, 2), (5, 10), (3, 1)] {
        for smoothing in [0.0, 0.1, 1.0] {
            let (logits, targets) = (random("logits", &[n, classes]), targets(n, classes));
            let own = |t: &[Tensor]| ops::cross_entropy(&t[0], &targets, smoothing);
            let loss = own(from_ref(&logits)).unwrap().to_scalar::<f64>().unwrap();
            assert!((loss - reference(&logits, &targets, smoothing)).abs() < 1e-13);
            if classes > 1 {
                let plain = |t: &[Tensor]| plain::cross_entropy(&t[0], &targets, smoothing);
                assert_same(&format!("{n}x{classes}, {smoothing}"), &own, &plain, from_ref(&logits));
                assert_gradients("cross_entropy", &own, &[logits]);
            }
        }
    }
}

#[test]
fn extreme_logits_stay_finite() {
    let logits = Tensor::new(&[[1e4f32, -1e4, 0.0], [-1e4, 1e4, 0.0]], &Device::Cpu).unwrap();
    let targets = Tensor::new(&[0u32, 0], &Device::Cpu).unwrap();
    for form in [ops::cross_entropy, plain::cross_entropy] {
        let loss = form(&logits, &targets, 0.0).unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(loss, 1e4); // (0 + 20000) / 2
        let smooth = form(&logits, &targets, 0.3).unwrap().to_scalar::<f32>().unwrap();
        assert!((smooth - 1e4).abs() < 0.01, "{smooth}"); // 0.7 * 10000 + 0.3 * 10000
    }
}

#[test]
fn what_is_not_finite_shows() {
    let targets = Tensor::new(&[0u32], &Device::Cpu).unwrap();
    for bad in [f64::NAN, f64::INFINITY] {
        let logits = Tensor::new(&[[0.0, bad, 1.0]], &Device::Cpu).unwrap();
        for form in [ops::cross_entropy, plain::cross_entropy] {
            assert!(!list(&form(&logits, &targets, 0.1).unwrap())[0].is_finite());
            assert!(!list(&form(&logits, &targets, 0.0).unwrap())[0].is_finite());
        }
    }
    let impossible = Tensor::new(&[[f64::NEG_INFINITY, 0.0]], &Device::Cpu).unwrap();
    let loss = ops::cross_entropy(&impossible, &targets, 0.0).unwrap();
    assert_eq!(list(&loss), [f64::INFINITY]);
}

#[test]
fn targets_outside_the_classes_are_refused() {
    let logits = random("logits", &[2, 3]);
    let wrong = Tensor::new(&[0u32, 3], &Device::Cpu).unwrap();
    let message = ops::cross_entropy(&logits, &wrong, 0.0).unwrap_err().to_string();
    assert!(message.starts_with("cross_entropy: target 3 is not below 3"), "{message}");
    let signed = Tensor::new(&[0i64, 1], &Device::Cpu).unwrap();
    assert!(ops::cross_entropy(&logits, &signed, 0.0).is_err());
    for smoothing in [-0.1, 1.1, f64::NAN] {
        assert!(ops::cross_entropy(&logits, &targets(2, 3), smoothing).is_err());
    }
}
