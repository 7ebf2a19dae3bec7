//! Dynamic Tanh by its definition.

use candle_core::Tensor;
use mbn::norm::Pass;

use crate::support::{assert_close, data, host, layer, moved, train};

#[test]
fn it_is_a_tanh_between_a_slope_and_scale_and_shift_in_every_pass() {
    for shape in [&[2usize, 3, 2, 2][..], &[5, 3], &[1, 3]] {
        let (norm, store) = moved("dyt", "", 3, ("", 0, 0.0));
        let of = |name: &str| host(&store.vars().into_iter().find(|(known, _)| known.ends_with(name)).unwrap().1);
        let (gamma, beta, alpha) = (of("weight"), of("bias"), of("alpha")[0]);
        let (x, g) = (data(shape, 1), data(shape, 2));
        let inner: usize = shape[2..].iter().product();
        let of_all = |f: &dyn Fn(usize, f64, f64) -> f64| -> Vec<f64> {
            host(&x).iter().zip(host(&g)).enumerate().map(|(i, (x, g))| f(i / inner % 3, *x, g)).collect()
        };
        let want = of_all(&|c, x, _| gamma[c] * (alpha * x).tanh() + beta[c]);
        let want_dx = of_all(&|c, x, g| gamma[c] * alpha * g / (alpha * x).cosh().powi(2));
        let (y, dx) = train(norm.as_ref(), &x, &g);
        assert_close(&host(&y), &want, 1e-13);
        assert_close(&host(&dx), &want_dx, 1e-12);
        for pass in [Pass::Eval, Pass::Batch, Pass::Frozen, Pass::Probe, Pass::Weighed { weight: 0.5 }] {
            assert_eq!(host(&norm.forward(&x, pass).unwrap()), host(&y), "{pass:?}");
        }
    }
}

#[test]
fn activations_cannot_grow() {
    let norm = layer("dyt", "alpha = 2.0", 2);
    let x = Tensor::new(&[[1e30, -1e30], [f64::INFINITY, 0.0]], &candle_core::Device::Cpu).unwrap();
    // Scales 0.7 and 1, shifts -0.2 and 0.1.
    assert_close(&host(&norm.forward(&x, Pass::Eval).unwrap()), &[0.5, -0.9, 0.5, 0.1], 1e-13);
}
