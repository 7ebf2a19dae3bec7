//! Pooling and the parameter-free shortcut.

use crate::support::{assert_gradients, assert_same, list, random, value_and_gradients};
use candle_core::{Device, Tensor};
use mbn::ops;
use std::slice::from_ref;

#[test]
fn max_pool_has_the_gradients_of_finite_differences() {
    for (shape, size) in [([2, 3, 7, 7], 2), ([1, 1, 5, 9], 3), ([3, 2, 8, 6], 2), ([2, 2, 4, 5], 1), ([2, 1, 4, 4], 4)]
    {
        let x = random("x", &shape);
        let own = |t: &[Tensor]| ops::max_pool2d(&t[0], size);
        assert_gradients("max_pool2d", &own, &[x]);
    }
}

#[test]
fn incomplete_windows_are_left_out() {
    let x = Tensor::arange(0f64, 49.0, &Device::Cpu).unwrap().reshape((1, 1, 7, 7)).unwrap();
    let (y, gradient) = value_and_gradients(&|t| ops::max_pool2d(&t[0], 2), from_ref(&x));
    assert_eq!(list(&y), [8., 10., 12., 22., 24., 26., 36., 38., 40.]);
    let hit: Vec<usize> = (0..49).filter(|&i| list(&gradient[0])[i] != 0.0).collect();
    assert_eq!(hit, [8, 10, 12, 22, 24, 26, 36, 38, 40]);
}

#[test]
fn a_tie_goes_to_the_first_and_the_gradient_is_not_divided() {
    let x = Tensor::new(&[[[[1f64, 3.0, 0.0, 0.0], [3.0, 3.0, 0.0, 0.0]]]], &Device::Cpu).unwrap();
    let var = candle_core::Var::from_tensor(&x).unwrap();
    let loss = (ops::max_pool2d(&var, 2).unwrap().sum_all().unwrap() * 5.0).unwrap();
    let gradient = loss.backward().unwrap().get(&var).unwrap().clone();
    assert_eq!(list(&gradient), [0., 5., 5., 0., 0., 0., 0., 0.]);
}

#[test]
fn nan_propagates_wherever_it_stands_in_the_window() {
    for at in 0..4 {
        let mut values = vec![1.0, f64::NEG_INFINITY, 3.0, 2.0];
        values[at] = f64::NAN;
        let x = Tensor::from_vec(values, (1, 1, 2, 2), &Device::Cpu).unwrap();
        assert!(list(&ops::max_pool2d(&x, 2).unwrap())[0].is_nan(), "NaN at {at}");
    }
}

#[test]
fn global_avg_pool_has_the_gradients_of_finite_differences() {
    for shape in [[2, 3, 7, 5], [1, 1, 1, 1], [3, 5, 1, 9]] {
        let x = random("x", &shape);
        let own = |t: &[Tensor]| ops::global_avg_pool(&t[0]);
        assert_gradients("global_avg_pool", &own, &[x]);
    }
}

#[test]
fn shortcut_keeps_every_stride_th_pixel_between_channels_of_zeros() {
    for (shape, stride, out) in
        [([2, 3, 8, 8], 2, 6), ([1, 2, 7, 5], 2, 5), ([2, 2, 7, 9], 3, 2), ([1, 3, 4, 4], 1, 4), ([1, 2, 3, 5], 40, 2)]
    {
        let x = random("x", &shape);
        let own = |t: &[Tensor]| ops::shortcut(&t[0], stride, out);
        assert_gradients("shortcut", &own, from_ref(&x));

        let y = ops::shortcut(&x, stride, out).unwrap();
        let before = (out - shape[1]) / 2;
        assert_eq!(y.dims(), [shape[0], out, shape[2].div_ceil(stride), shape[3].div_ceil(stride)]);
        let (x, y) = (x.get(0).unwrap().to_vec3::<f64>().unwrap(), y.get(0).unwrap().to_vec3::<f64>().unwrap());
        for (c, plane) in y.iter().enumerate() {
            for (oy, row) in plane.iter().enumerate() {
                for (ox, &value) in row.iter().enumerate() {
                    let source = c.checked_sub(before).and_then(|c| x.get(c));
                    assert_eq!(value, source.map_or(0.0, |plane| plane[oy * stride][ox * stride]));
                }
            }
        }
    }
}

#[test]
fn pools_take_tensors_that_are_not_contiguous() {
    let x = [random("x", &[4, 6, 2, 3])];
    let turn = |x: &Tensor| x.permute((2, 3, 0, 1));
    let copy = |x: &Tensor| turn(x)?.contiguous();
    let pool = |t: &[Tensor]| ops::max_pool2d(&turn(&t[0])?, 2)?.transpose(0, 3);
    assert_same("max_pool2d", &pool, &|t| ops::max_pool2d(&copy(&t[0])?, 2)?.transpose(0, 3), &x);
    let average = |t: &[Tensor]| ops::global_avg_pool(&turn(&t[0])?)?.t();
    assert_same("global_avg_pool", &average, &|t| ops::global_avg_pool(&copy(&t[0])?)?.t(), &x);
    let skip = |t: &[Tensor]| ops::shortcut(&turn(&t[0])?, 2, 5)?.transpose(0, 1);
    assert_same("shortcut", &skip, &|t| ops::shortcut(&copy(&t[0])?, 2, 5)?.transpose(0, 1), &x);
}
