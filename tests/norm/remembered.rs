//! Passes with remembered statistics, for every normalizer that remembers any.

use std::sync::Arc;

use candle_core::{Tensor, Var};
use mbn::norm::{Kind, Norm, Pass};

use crate::reference::Reference;
use crate::support::{alone, assert_close, data, host, layer};

const EPS: f64 = 1e-5;
const SHAPES: [&[usize]; 3] = [&[3, 4, 3, 2], &[3, 4, 1, 1], &[5, 4]];

/// Parameters under which statistics are per channel.
fn single(name: &str) -> &'static str {
    if name == "gn-bn" { "group_size = 1" } else { "" }
}

/// Every normalizer whose inference is an affine map with remembered statistics, after a few batches.
fn trained() -> Vec<(&'static Kind, Arc<dyn Norm>)> {
    let made = alone().map(|kind| {
        let norm = layer(kind.name, single(kind.name), 4);
        (0..3).for_each(|step| drop(norm.forward(&data(&[3, 4, 2, 2], step), Pass::Train).unwrap()));
        (kind, norm)
    });
    let some = made.filter(|(_, norm)| norm.inference().is_some() && norm.infers_by_map()).collect::<Vec<_>>();
    assert!(some.len() >= 3);
    some
}

/// gamma (x - mean)/sqrt(E[x²] - mean² + eps) + beta, image by image, by raw moments of which the image's own have weight w.
fn weighed(norm: &dyn Norm, subtracts: bool, x: &Tensor, w: f64) -> Vec<f64> {
    let known = norm.inference().unwrap();
    let (means, vars) = (host(&known.mean), host(&known.var));
    let (n, mut y) = (x.dims()[0], vec![0.0; x.elem_count()]);
    let per_image = x.elem_count() / n;
    for c in 0..x.dims()[1] {
        for image in 0..n {
            let own: Vec<_> = Reference::channel(x, c).into_iter().filter(|(i, _)| i / per_image == image).collect();
            let over = |f: &dyn Fn(f64) -> f64| own.iter().map(|(_, v)| f(*v)).sum::<f64>() / own.len() as f64;
            let mean = if subtracts { (1.0 - w) * means[c] + w * over(&|v| v) } else { 0.0 };
            let square = (1.0 - w) * (vars[c] + means[c] * means[c]) + w * over(&|v| v * v);
            let s = (square - mean * mean + EPS).sqrt();
            for (i, v) in own {
                y[i] = (0.7 + 0.3 * c as f64) * (v - mean) / s - 0.2 + 0.3 * c as f64;
            }
        }
    }
    y
}

#[test]
fn weighing_mixes_raw_moments_image_by_image() {
    for shape in SHAPES {
        for (kind, norm) in trained() {
            let x = data(shape, 5);
            for weight in [0.0, 0.125, 0.5, 1.0] {
                let y = norm.forward(&x, Pass::Weighed { weight }).unwrap();
                // MABN has no mean, neither remembered nor per image.
                let want = weighed(norm.as_ref(), kind.name != "mabn", &x, weight);
                // With one value per image and weight 1, E[x²] - mean² of the reference is rounding.
                let tolerance = if weight == 1.0 && x.elem_count() == shape[0] * shape[1] { 1e-7 } else { 1e-11 };
                assert_close(&host(&y), &want, tolerance);
            }
        }
    }
}

#[test]
fn weight_0_is_inference_and_weight_1_each_image_alone() {
    for (kind, norm) in trained() {
        let x = data(SHAPES[0], 6);
        let pass = |weight| host(&norm.forward(&x, Pass::Weighed { weight }).unwrap());
        assert_eq!(pass(0.0), host(&norm.forward(&x, Pass::Eval).unwrap()), "{}", kind.name);
        // Neither the remembered statistics nor the other images matter.
        let groups_of_one = if kind.name == "gn-bn" { "group_size = 1" } else { "" };
        let first =
            host(&layer(kind.name, groups_of_one, 4).forward(&x.narrow(0, 0, 1).unwrap(), Pass::Batch).unwrap());
        assert_close(&pass(1.0)[..first.len()], &first, 1e-12);
        assert!(pass(0.5) != pass(0.0) && pass(0.5) != pass(1.0), "{}", kind.name);
    }
}

#[test]
fn frozen_statistics_infer_and_stay_as_they_are() {
    for (kind, norm) in trained() {
        let (x, g) = (data(SHAPES[0], 6), data(SHAPES[0], 7));
        let before = host(&norm.forward(&x, Pass::Eval).unwrap());
        let input = Var::from_tensor(&x).unwrap();
        let y = norm.forward(input.as_tensor(), Pass::Frozen).unwrap();
        assert_eq!(host(&y.detach()), before, "{}", kind.name);
        let gradients = (&y * &g).unwrap().sum_all().unwrap().backward().unwrap();
        let known = norm.inference().unwrap();
        let slope = |c: usize| (0.7 + 0.3 * c as f64) / (host(&known.var)[c] + EPS).sqrt();
        let want: Vec<f64> = host(&g).iter().enumerate().map(|(i, g)| g * slope(i / 6 % 4)).collect();
        assert_close(&host(gradients.get(&input).unwrap()), &want, 1e-12);
        assert_eq!(host(&norm.forward(&x, Pass::Eval).unwrap()), before, "{}", kind.name);
    }
}

#[test]
fn where_nothing_is_remembered_there_is_nothing_to_mix() {
    for kind in alone() {
        let norm = layer(kind.name, "", 4);
        if norm.inference().is_none() || !norm.infers_by_map() {
            let x = data(SHAPES[0], 7);
            let pass = |pass| host(&norm.forward(&x, pass).unwrap());
            assert_eq!(pass(Pass::Weighed { weight: 0.5 }), pass(Pass::Eval), "{}", kind.name);
            assert_eq!(pass(Pass::Frozen), pass(Pass::Eval), "{}", kind.name);
        }
    }
}

#[test]
fn a_constant_image_has_a_variance_of_0_never_less() {
    for (kind, norm) in trained() {
        let x = data(SHAPES[0], 8).affine(0.0, 1e6).unwrap();
        for weight in [0.3, 1.0 - 1e-12, 1.0] {
            let y = host(&norm.forward(&x, Pass::Weighed { weight }).unwrap());
            assert!(y.iter().all(|v| v.is_finite()), "{}, {weight}", kind.name);
        }
    }
}
