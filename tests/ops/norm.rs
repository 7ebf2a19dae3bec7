//! Moments, affine maps of channels and the passes of their gradients: the kernels against plain operations, and layers
//! built from them against finite differences.

use crate::support::{assert_close, difference, list, random};
use candle_core::{DType, Tensor, Var};
use mbn::ops::{self, ChannelMap, ChannelMapGradient, Granularity, plain};

const SHAPES: [&[usize]; 5] = [&[2, 3, 7, 7], &[3, 1, 5, 9], &[1, 5, 3, 2], &[9, 4], &[2, 1]];
const BOTH: [Granularity; 2] = [Granularity::Channel, Granularity::Image];

/// A coefficient for a tensor of that shape, per channel or per image and channel.
fn coefficient(name: &str, shape: &[usize], per: Granularity) -> Tensor {
    match per {
        Granularity::Channel => random(name, &shape[1..2]),
        Granularity::Image => random(name, &shape[..2]),
    }
}

fn map(shape: &[usize], [mean, slope, shift]: [Granularity; 3]) -> ChannelMap {
    ChannelMap {
        mean: coefficient("mean", shape, mean),
        slope: coefficient("slope", shape, slope),
        shift: coefficient("shift", shape, shift),
    }
}

#[test]
fn moments_are_mean_and_biased_variance() {
    for shape in SHAPES {
        let x = (random("x", shape) * 3.0).unwrap();
        let rows = x.flatten_from(1).unwrap().reshape((shape[0], shape[1], ())).unwrap();
        let mean = rows.mean((0, 2)).unwrap();
        let centred = rows.broadcast_sub(&mean.reshape((1, shape[1], 1)).unwrap()).unwrap();
        let moments = ops::moments(&x, Granularity::Channel).unwrap();
        assert_close("mean", &moments.mean, &mean, 1e-13);
        assert_close("variance", &moments.var, &centred.sqr().unwrap().mean((0, 2)).unwrap(), 1e-13);
        let own = ops::moments(&x, Granularity::Image).unwrap();
        assert_close("mean of an image", &own.mean, &rows.mean(2).unwrap(), 1e-13);
        let together = own.over_images().unwrap();
        assert_close("mean over images", &together.mean, &moments.mean, 1e-13);
        assert_close("variance over images", &together.var, &moments.var, 1e-13);
        for per in BOTH {
            let (own, other) = (ops::moments(&x, per).unwrap(), plain::moments(&x, per).unwrap());
            assert_close("plain mean", &own.mean, &other.mean, 1e-13);
            assert!(
                (&own.var - &other.var).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap() < 1e-12
            );
        }
    }
}

#[test]
fn moments_survive_a_large_mean_in_f32() {
    let noise = random("x", &[16, 2, 32, 32]);
    let x = (noise + 1e4).unwrap().to_dtype(DType::F32).unwrap();
    let exact = ops::moments(&x.to_dtype(DType::F64).unwrap(), Granularity::Channel).unwrap();
    let moments = ops::moments(&x, Granularity::Channel).unwrap();
    assert!(difference(&list(&moments.mean), &list(&exact.mean)) < 1e-7);
    assert!(difference(&list(&moments.var), &list(&exact.var)) < 1e-6);
}

#[test]
fn moments_are_detached_and_take_tensors_that_are_not_contiguous() {
    let x = random("x", &[5, 4, 3, 2]);
    let var = Var::from_tensor(&x).unwrap();
    let turned = ops::moments(&var.permute((2, 3, 1, 0)).unwrap(), Granularity::Channel).unwrap();
    let copied = x.permute((2, 3, 1, 0)).unwrap().contiguous().unwrap();
    let copied = ops::moments(&copied, Granularity::Channel).unwrap();
    assert!(!turned.mean.track_op() && !turned.var.track_op());
    assert_eq!((list(&turned.mean), list(&turned.var)), (list(&copied.mean), list(&copied.var)));
}

/// Every mixture of coefficients per channel and per image, in both types.
#[test]
fn kernels_equal_the_plain_form() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
        for shape in SHAPES {
            for mixture in 0..16 {
                let per = |bit: usize| BOTH[mixture >> bit & 1];
                let to = |t: Tensor| t.to_dtype(dtype).unwrap();
                let (x, g) = (to(random("x", shape)), to(random("g", shape)));
                let by = map(shape, [per(0), per(1), per(2)]);
                let by = ChannelMap { mean: to(by.mean), slope: to(by.slope), shift: to(by.shift) };
                let what = format!("{shape:?} {mixture} {dtype:?}");
                let same = |own: &Tensor, other: &Tensor| assert_close(&what, own, other, tolerance);
                same(&ops::channel_map(&x, &by).unwrap(), &plain::channel_map(&x, &by).unwrap());
                let own = ops::gradient_sums(&x, &g, &by.mean, per(3)).unwrap();
                let other = plain::gradient_sums(&x, &g, &by.mean, per(3)).unwrap();
                same(&own.g, &other.g);
                same(&own.gx, &other.gx);
                let b = to(coefficient("b", shape, per(3)));
                let by = ChannelMapGradient { a: by.slope, b, center: by.mean, d: by.shift };
                let own = ops::channel_map_gradient(&x, &g, &by).unwrap();
                same(&own, &plain::channel_map_gradient(&x, &g, &by).unwrap());
            }
        }
    }
}

/// Where every coefficient is a constant, the map is an ordinary function of its input.
#[test]
fn a_map_passes_its_gradients_on_and_takes_tensors_that_are_not_contiguous() {
    let shape = [3, 4, 2, 5];
    let by = map(&shape, [Granularity::Channel, Granularity::Image, Granularity::Channel]);
    let zero = by.mean.zeros_like().unwrap();
    let parameter = Var::from_tensor(&random("parameter", &[2])).unwrap();
    let x = Var::from_tensor(&random("x", &[5, 2, 4, 3])).unwrap();
    let turned = x.permute((3, 2, 1, 0)).unwrap();
    let (slope, center) = (by.slope.clone(), by.mean.clone());
    let y =
        ops::differentiable_linear_map(&turned, &[parameter.as_tensor().clone()], by.clone(), move |x, g, wanted| {
            let by = ChannelMapGradient { a: slope.clone(), b: zero.clone(), center: center.clone(), d: zero.clone() };
            Ok((wanted.then(|| ops::channel_map_gradient(x, g, &by)).transpose()?, vec![random("told", &[2])]))
        });
    let y = y.unwrap();
    assert_close("value", &y.detach(), &plain::channel_map(&turned.detach(), &by).unwrap(), 1e-13);
    let grads = (&y * random("g", &shape)).unwrap().sum_all().unwrap().backward().unwrap();
    let spread = by.slope.reshape((3, 4, 1, 1)).unwrap();
    let expected = random("g", &shape).broadcast_mul(&spread).unwrap().permute((3, 2, 1, 0)).unwrap();
    assert_close("gradient", grads.get(&x).unwrap(), &expected.contiguous().unwrap(), 1e-13);
    assert_close("parameter", grads.get(&parameter).unwrap(), &random("told", &[2]), 0.0);
}
