//! Instance Enhancement Batch Normalization by its definition.

use candle_core::Tensor;
use mbn::norm::{Norm, Pass};

use crate::support::{assert_close, data, host, layer, moved, train};

#[test]
fn an_open_gate_leaves_batch_normalization() {
    for shape in [&[3usize, 4, 2, 2][..], &[5, 4]] {
        let (open, bn) = (layer("iebn", "gate_bias = 50.0", 4), layer("bn", "", 4));
        for step in 0..3 {
            let (x, g) = (data(shape, step), data(shape, 10 + step));
            let ((y, dx), (want_y, want_dx)) = (train(open.as_ref(), &x, &g), train(bn.as_ref(), &x, &g));
            assert_close(&host(&y), &host(&want_y), 1e-12);
            assert_close(&host(&dx), &host(&want_dx), 1e-12);
        }
        let x = data(shape, 9);
        let eval = |norm: &dyn Norm| host(&norm.forward(&x, Pass::Eval).unwrap());
        assert_close(&eval(open.as_ref()), &eval(bn.as_ref()), 1e-12);
    }
}

#[test]
fn gates_come_from_each_image_s_own_mean() {
    let (norm, _) = moved("iebn", "", 3, ("", 0, 0.0));
    let x = data(&[2, 3, 2, 2], 4);
    norm.forward(&data(&[2, 3, 2, 2], 3), Pass::Train).unwrap();
    let running = norm.inference().unwrap();
    let (mean, var) = (host(&running.mean), host(&running.var));
    let [gamma, beta, w, b] = <[Tensor; 4]>::try_from(norm.parameters()).unwrap().map(|t| host(&t));
    let y = host(&norm.forward(&x, Pass::Eval).unwrap());
    for (cell, values) in host(&x).chunks_exact(4).enumerate() {
        let c = cell % 3;
        let a = 1.0 / (1.0 + (-(w[c] * values.iter().sum::<f64>() / 4.0 + b[c])).exp());
        for (i, value) in values.iter().enumerate() {
            let want = a * gamma[c] * (value - mean[c]) / (var[c] + 1e-5).sqrt() + beta[c];
            assert!((y[cell * 4 + i] - want).abs() < 1e-12);
        }
    }
}
