//! Fully connected layer and ReLU.

use crate::support::{assert_gradients, assert_same, list, random, value_and_gradients};
use candle_core::{DType, Device, Tensor};
use mbn::ops;
use std::slice::from_ref;

#[test]
fn linear_is_a_matrix_product_and_has_the_gradients_of_finite_differences() {
    for (n, i, o) in [(1, 5, 3), (7, 1, 1), (130, 9, 70)] {
        let (x, weight, bias) = (random("x", &[n, i]), random("weight", &[o, i]), random("bias", &[o]));
        let with = |t: &[Tensor]| ops::linear(&t[0], &t[1], Some(&t[2]));
        let without = |t: &[Tensor]| ops::linear(&t[0], &t[1], None);
        let inputs = [x, weight, bias];
        assert_same("without", &without, &|t| t[0].matmul(&t[1].t()?), &inputs[..2]);
        assert_gradients("with bias", &with, &inputs);
        assert_gradients("without", &without, &inputs[..2]);
    }
}

#[test]
fn linear_takes_tensors_that_are_not_contiguous() {
    let inputs = [random("x", &[4, 6]), random("weight", &[4, 5])];
    let own = |t: &[Tensor]| ops::linear(&t[0].t()?, &t[1].t()?, None)?.t();
    let direct = |t: &[Tensor]| t[1].t()?.matmul(&t[0]);
    assert_same("transposed", &own, &direct, &inputs);
}

#[test]
fn relu_is_zero_with_derivative_zero_at_zero_and_keeps_nan() {
    let x = Tensor::new(&[-1.0, -0.0, 0.0, 1e-300, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY], &Device::Cpu);
    let x = x.unwrap();
    let (y, _) = value_and_gradients(&|t| ops::relu(&t[0]), from_ref(&x));
    let y = list(&y);
    assert_eq!(y[..5], [0.0, 0.0, 0.0, 1e-300, 2.0]);
    assert!(y[5].is_nan() && y[6] == f64::INFINITY && y[7] == 0.0);
    let finite = x.narrow(0, 0, 5).unwrap();
    let (_, gradient) = value_and_gradients(&|t| ops::relu(&t[0]), &[finite]);
    let passed: Vec<bool> = list(&gradient[0]).iter().map(|&g| g != 0.0).collect();
    assert_eq!(passed, [false, false, false, true, true]);
    let empty = Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(ops::relu(&empty).unwrap().dims(), [0, 3]);
}
