//! Convolution and depthwise convolution.

use crate::support::{assert_close, assert_gradients, assert_same, list, random};
use candle_core::{Device, Tensor, Var};
use mbn::ops::{self, plain};

/// The definition, as seven loops.
fn reference(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Tensor {
    let ((n, cin, h, w), (cout, _, kh, kw)) = (x.dims4().unwrap(), weight.dims4().unwrap());
    let (oh, ow) = ((h + 2 * padding - kh) / stride + 1, (w + 2 * padding - kw) / stride + 1);
    let (x, weight) = (list(x), list(weight));
    let mut y = Vec::new();
    for (n, o, oy, ox) in cells([n, cout, oh, ow]) {
        let mut sum = 0.0;
        for (c, ky, kx, _) in cells([cin, kh, kw, 1]) {
            let (iy, ix) = (oy * stride + ky, ox * stride + kx);
            if (padding..h + padding).contains(&iy) && (padding..w + padding).contains(&ix) {
                let pixel = x[((n * cin + c) * h + iy - padding) * w + ix - padding];
                sum += pixel * weight[((o * cin + c) * kh + ky) * kw + kx];
            }
        }
        y.push(sum);
    }
    Tensor::from_vec(y, (n, cout, oh, ow), &Device::Cpu).unwrap()
}

fn cells([a, b, c, d]: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

/// Combinations of odd and even sizes, kernels, strides and paddings.
fn cases() -> Vec<(String, Tensor, Tensor, usize, usize)> {
    let sizes = [(1, 3, 5, 7, 7), (3, 1, 3, 5, 9), (2, 5, 1, 8, 6), (9, 3, 5, 6, 5)];
    let kernels = [(1, 1), (3, 3), (5, 5), (3, 1), (2, 4)];
    let mut cases = Vec::new();
    for (n, cin, cout, h, w) in sizes {
        for (kh, kw) in kernels {
            for (stride, padding) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (9, 2)] {
                let what = format!("{n}x{cin}x{h}x{w}, {cout} of {kh}x{kw}, stride {stride}, padding {padding}");
                let (x, weight) = (random(&what, &[n, cin, h, w]), random("weight", &[cout, cin, kh, kw]));
                cases.push((what, x, weight, stride, padding));
            }
        }
    }
    cases
}

#[test]
fn equals_the_definition() {
    for (what, x, weight, stride, padding) in cases() {
        let expected = reference(&x, &weight, stride, padding);
        assert_close(&what, &ops::conv2d(&x, &weight, stride, padding).unwrap(), &expected, 1e-13);
    }
}

#[test]
fn gradients_are_finite_differences() {
    for (what, x, weight, stride, padding) in cases() {
        assert_gradients(&what, &|t: &[Tensor]| ops::conv2d(&t[0], &t[1], stride, padding), &[x, weight]);
    }
}

#[test]
fn takes_tensors_that_are_not_contiguous() {
    let inputs = [random("x", &[2, 3, 5, 9]), random("weight", &[3, 4, 3, 3])];
    let conv = |t: &[Tensor]| ops::conv2d(&t[0].transpose(2, 3)?, &t[1].transpose(0, 1)?, 1, 1)?.transpose(1, 3);
    let copied = |t: &[Tensor]| {
        let (x, weight) = (t[0].transpose(2, 3)?.contiguous()?, t[1].transpose(0, 1)?.contiguous()?);
        ops::conv2d(&x, &weight, 1, 1)?.transpose(1, 3)
    };
    assert_same("transposed", &conv, &copied, &inputs);
    let slice = inputs[0].narrow(0, 1, 1).unwrap();
    let weight = random("weight", &[2, 3, 3, 3]);
    assert_close("narrowed", &ops::conv2d(&slice, &weight, 1, 1).unwrap(), &reference(&slice, &weight, 1, 1), 1e-13);
}

/// Whether an operand is differentiated by does not affect the other's gradient.
#[test]
fn constants_change_no_gradient() {
    let (x, weight) = (random("x", &[2, 3, 5, 5]), random("weight", &[4, 3, 3, 3]));
    let (xv, wv) = (Var::from_tensor(&x).unwrap(), Var::from_tensor(&weight).unwrap());
    let grads = |x: &Tensor, w: &Tensor| ops::conv2d(x, w, 1, 1).unwrap().sum_all().unwrap().backward().unwrap();
    let both = grads(&xv, &wv);
    let by_weight = grads(&x, &wv);
    let by_input = grads(&xv, &weight);
    assert_close("weight", by_weight.get(&wv).unwrap(), both.get(&wv).unwrap(), 0.0);
    assert_close("input", by_input.get(&xv).unwrap(), both.get(&xv).unwrap(), 0.0);
}

/// Kernels smaller and larger than the maps, and maps of one pixel.
fn depthwise_cases() -> Vec<(String, [Tensor; 3])> {
    let mut cases = vec![];
    for shape in [&[2usize, 3, 5, 7][..], &[3, 2, 1, 4], &[1, 4, 2, 1], &[2, 5, 3, 3], &[4, 3]] {
        for k in [1, 3, 5, 7] {
            let what = format!("depthwise {k}x{k} of {shape:?}");
            cases.push((what, [random("x", shape), random("kernel", &[shape[1], k, k]), random("bias", &shape[1..2])]));
        }
    }
    cases
}

#[test]
fn depthwise_is_a_convolution_of_each_channel() {
    for (what, [x, kernel, bias]) in depthwise_cases() {
        let size = |axis: usize| x.dims().get(axis).copied().unwrap_or(1);
        let ([n, c, h, w], k) = ([size(0), size(1), size(2), size(3)], kernel.dims()[1]);
        let maps = x.reshape((n, c, h, w)).unwrap();
        let each = |i: usize| {
            let own = kernel.narrow(0, i, 1).unwrap().unsqueeze(0).unwrap();
            (reference(&maps.narrow(1, i, 1).unwrap(), &own, 1, k / 2) + list(&bias)[i]).unwrap()
        };
        let expected = Tensor::cat(&(0..c).map(each).collect::<Vec<_>>(), 1).unwrap().reshape(x.shape()).unwrap();
        assert_close(&what, &ops::depthwise(&x, &kernel, &bias).unwrap(), &expected, 1e-13);
    }
}

#[test]
fn depthwise_has_the_gradients_of_finite_differences_and_of_its_plain_form() {
    for (what, inputs) in depthwise_cases() {
        let own = |t: &[Tensor]| ops::depthwise(&t[0], &t[1], &t[2]);
        assert_gradients(&what, &own, &inputs);
        let plain = |t: &[Tensor]| ops::scale_and_shift(&plain::depthwise(&t[0], &t[1])?, &t[2].ones_like()?, &t[2]);
        assert_same(&what, &own, &plain, &inputs);
    }
    let turned = [random("x", &[2, 3, 4, 5]), random("kernel", &[3, 3, 3]), random("bias", &[3])];
    let own = |t: &[Tensor]| ops::depthwise(&t[0].transpose(2, 3)?, &t[1].transpose(1, 2)?, &t[2])?.transpose(2, 3);
    let copied = |t: &[Tensor]| ops::depthwise(&t[0], &t[1], &t[2]);
    assert_same("depthwise, transposed", &own, &copied, &turned);
}
