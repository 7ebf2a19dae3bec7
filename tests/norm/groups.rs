//! Groups of channels: what falls together with what.

use candle_core::{Tensor, Var};
use mbn::norm::{Norm, Pass};

use crate::support::{assert_close, data, host, layer};

/// Output, input gradient, and gradients of the parameters.
fn everything(norm: &dyn Norm, x: &Tensor, g: &Tensor) -> Vec<Vec<f64>> {
    let x = Var::from_tensor(x).unwrap();
    let y = norm.forward(x.as_tensor(), Pass::Train).unwrap();
    let grads = (&y * g).unwrap().sum_all().unwrap().backward().unwrap();
    let of = |t: &Tensor| host(grads.get(t).unwrap());
    let mut all = vec![host(&y.detach()), of(&x)];
    all.extend(norm.parameters().iter().map(of));
    all
}

fn assert_same(one: (&str, &str), other: (&str, &str), shape: &[usize]) {
    let (a, b) = (layer(one.0, one.1, 4), layer(other.0, other.1, 4));
    for step in 0..3 {
        let (x, g) = (data(shape, step), data(shape, 10 + step));
        let (got, want) = (everything(a.as_ref(), &x, &g), everything(b.as_ref(), &x, &g));
        for (got, want) in got.iter().zip(&want) {
            assert_close(got, want, 1e-11);
        }
    }
}

#[test]
fn one_group_is_layer_and_one_channel_instance_normalization() {
    for shape in [&[3usize, 4, 2, 3][..], &[1, 4, 2, 2]] {
        assert_same(("ln", ""), ("gn", "groups = 1"), shape);
        assert_same(("ln", ""), ("gn", "group_size = 4"), shape);
        assert_same(("in", ""), ("gn", "group_size = 1"), shape);
        assert_same(("in", ""), ("gn", "groups = 4"), shape);
    }
    assert_same(("ln", ""), ("gn", "groups = 1"), &[3, 4]);
}

#[test]
fn layer_and_instance_normalization_are_their_definitions() {
    let (x, eps) = (data(&[3, 4, 2, 3], 5), 1e-5);
    for (name, size) in [("ln", 24), ("in", 6)] {
        let y = host(&layer(name, "", 4).forward(&x, Pass::Eval).unwrap());
        for (group, values) in host(&x).chunks_exact(size).enumerate() {
            let mean = values.iter().sum::<f64>() / size as f64;
            let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / size as f64;
            for (i, value) in values.iter().enumerate() {
                let c = (group * size + i) / 6 % 4;
                let want = (0.7 + 0.3 * c as f64) * (value - mean) / (var + eps).sqrt() - 0.2 + 0.3 * c as f64;
                assert!((y[group * size + i] - want).abs() < 1e-12, "{name} {group} {i}");
            }
        }
    }
}
