//! Moments, and normalization with the gradient of a partly constant statistic.

use crate::support::{assert_close, assert_gradients_of, assert_same, difference, list, random};
use candle_core::{DType, Device, Result, Tensor};
use mbn::ops::{self, plain, Statistics};

const SHAPES: [&[usize]; 5] = [&[2, 3, 7, 7], &[3, 1, 5, 9], &[1, 5, 3, 2], &[9, 4], &[2, 1]];

/// Mean over everything but the channels, as a vector.
fn channel_mean(x: &Tensor) -> Result<Tensor> {
    x.transpose(0, 1)?.flatten_from(1)?.mean(1)
}

/// A vector over channels in a shape that broadcasts against `x`.
fn spread(vector: &Tensor, x: &Tensor) -> Result<Tensor> {
    vector.reshape((0..x.rank()).map(|d| if d == 1 { vector.elem_count() } else { 1 }).collect::<Vec<_>>())
}

fn parameters(channels: usize) -> [Tensor; 2] {
    [(random("gamma", &[channels]) + 1.5).unwrap(), random("beta", &[channels])]
}

/// Statistics that are neither the batch's own nor centered on their mean.
fn statistics(channels: usize, factor: f64) -> Statistics {
    let var = (random("var", &[channels]).sqr().unwrap() + 0.5).unwrap();
    Statistics { mean: random("mean", &[channels]), var, eps: 1e-3, center: random("center", &[channels]), factor }
}

#[test]
fn moments_are_mean_and_biased_variance() {
    for shape in SHAPES {
        let x = (random("x", shape) * 3.0).unwrap();
        for form in [ops::moments, plain::moments] {
            let moments = form(&x).unwrap();
            let mean = channel_mean(&x).unwrap();
            let centered = x.broadcast_sub(&spread(&mean, &x).unwrap()).unwrap();
            assert_close("mean", &moments.mean, &mean, 1e-13);
            assert_close("variance", &moments.var, &channel_mean(&centered.sqr().unwrap()).unwrap(), 1e-13);
        }
    }
}

#[test]
fn moments_survive_a_large_mean_in_f32() {
    let noise = random("x", &[16, 2, 32, 32]);
    let x = (noise + 1e4).unwrap().to_dtype(DType::F32).unwrap();
    let exact = ops::moments(&x.to_dtype(DType::F64).unwrap()).unwrap();
    let moments = ops::moments(&x).unwrap();
    assert!(difference(&list(&moments.mean), &list(&exact.mean)) < 1e-7);
    assert!(difference(&list(&moments.var), &list(&exact.var)) < 1e-6);
}

#[test]
fn moments_are_detached_and_take_tensors_that_are_not_contiguous() {
    let x = random("x", &[5, 4, 3, 2]);
    let var = candle_core::Var::from_tensor(&x).unwrap();
    let turned = ops::moments(&var.permute((2, 3, 1, 0)).unwrap()).unwrap();
    let copied = ops::moments(&x.permute((2, 3, 1, 0)).unwrap().contiguous().unwrap()).unwrap();
    assert!(!turned.mean.track_op() && !turned.var.track_op());
    assert_eq!((list(&turned.mean), list(&turned.var)), (list(&copied.mean), list(&copied.var)));
}

#[test]
fn normalize_equals_the_plain_form_with_its_gradients() {
    for shape in SHAPES {
        for factor in [0.0, 0.3, 1.0] {
            let stats = statistics(shape[1], factor);
            let [gamma, beta] = parameters(shape[1]);
            let own = |t: &[Tensor]| ops::normalize(&t[0], &t[1], &t[2], &stats);
            let plain = |t: &[Tensor]| plain::normalize(&t[0], &t[1], &t[2], &stats);
            assert_same(&format!("{shape:?}, factor {factor}"), &own, &plain, &[random("x", shape), gamma, beta]);
        }
    }
}

/// The function whose derivative is promised, spelled out: the statistics move with the batch by `factor`, from where
/// they stand for this very batch.
#[test]
fn gradients_are_finite_differences_of_the_straight_through_form() {
    for shape in SHAPES {
        for factor in [0.0, 0.3, 1.0] {
            let stats = statistics(shape[1], factor);
            let [gamma, beta] = parameters(shape[1]);
            let x0 = random("x", shape);
            let batch = |x: &Tensor| -> Result<(Tensor, Tensor)> {
                let around = x.broadcast_sub(&spread(&stats.center, x)?)?.sqr()?;
                Ok((channel_mean(x)?, channel_mean(&around)?))
            };
            let (mean0, around0) = batch(&x0).unwrap();
            let reference = |t: &[Tensor]| {
                let x = &t[0];
                let (mean, around) = batch(x)?;
                let mean = (&stats.mean + ((mean - &mean0)? * factor)?)?;
                let root = ((&stats.var + ((around - &around0)? * factor)?)? + stats.eps)?.sqrt()?;
                let xhat = x.broadcast_sub(&spread(&mean, x)?)?.broadcast_div(&spread(&root, x)?)?;
                xhat.broadcast_mul(&spread(&t[1], x)?)?.broadcast_add(&spread(&t[2], x)?)
            };
            let own = |t: &[Tensor]| ops::normalize(&t[0], &t[1], &t[2], &stats);
            let what = format!("{shape:?}, factor {factor}");
            assert_gradients_of(&what, &own, &reference, &[x0.clone(), gamma, beta]);
        }
    }
}

/// With the batch's own statistics and factor 1 it is Batch Normalization, whose gradient needs no stand-in.
#[test]
fn factor_one_on_the_batch_s_own_moments_is_batch_normalization() {
    let shape: &[usize] = &[3, 2, 5, 3];
    let [gamma, beta] = parameters(2);
    let own = |t: &[Tensor]| {
        let moments = ops::moments(&t[0])?;
        let center = moments.mean.clone();
        let stats = Statistics { mean: moments.mean, var: moments.var, eps: 1e-5, center, factor: 1.0 };
        ops::normalize(&t[0], &t[1], &t[2], &stats)
    };
    assert_gradients_of("bn", &own, &own, &[random("x", shape), gamma, beta]);
}

#[test]
fn normalize_takes_tensors_that_are_not_contiguous() {
    let stats = statistics(3, 0.7);
    let [gamma, beta] = parameters(3);
    let turn = |x: &Tensor| x.permute((3, 2, 1, 0));
    let own = |t: &[Tensor]| ops::normalize(&turn(&t[0])?, &t[1], &t[2], &stats)?.transpose(1, 2);
    let plain = |t: &[Tensor]| plain::normalize(&turn(&t[0])?, &t[1], &t[2], &stats)?.transpose(1, 2);
    assert_same("permuted", &own, &plain, &[random("x", &[5, 4, 3, 2]), gamma, beta]);
}

#[test]
fn statistics_in_another_precision_are_accepted() {
    let stats = statistics(3, 1.0);
    let [x, gamma, beta] = [random("x", &[4, 3]), random("gamma", &[3]), random("beta", &[3])];
    let single = [&x, &gamma, &beta].map(|t| t.to_dtype(DType::F32).unwrap());
    let exact = ops::normalize(&x, &gamma, &beta, &stats).unwrap();
    for form in [ops::normalize, plain::normalize] {
        let y = form(&single[0], &single[1], &single[2], &stats).unwrap();
        assert_eq!((y.dtype(), y.device().is_cpu()), (DType::F32, Device::Cpu.is_cpu()));
        assert!(difference(&list(&y), &list(&exact)) < 1e-5);
    }
}
