//! Instance Enhancement Batch Normalization by its definition.

use candle_core::{Device, Tensor, Var};
use mbn::model::Store;
use mbn::norm::{Norm, Pass};

use crate::support::{assert_close, data, host, layer, stored, train};

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

/// A layer with all its parameters away from where they begin, and one value of one of them moved.
fn moved(name: &str, index: usize, by: f64) -> std::sync::Arc<dyn Norm> {
    let store = Store::fresh(0);
    let norm = stored(&store, "iebn", "", 3);
    for (known, var) in store.vars().into_iter().filter(|(known, _)| !known.contains("running")) {
        let mut values: Vec<f64> = (0..3).map(|c| known.len() as f64 * 0.05 - 0.4 * c as f64).collect();
        if known.ends_with(name) {
            values[index] += by;
        }
        var.set(&Tensor::from_vec(values, 3, &Device::Cpu).unwrap()).unwrap();
    }
    norm
}

#[test]
fn gradients_of_input_and_gates_are_those_of_finite_differences() {
    let (h, shape) = (1e-5, [3, 3, 2, 2]);
    let (x, g) = (data(&shape, 1), data(&shape, 2));
    let norm = moved("", 0, 0.0);
    let leaf = Var::from_tensor(&x).unwrap();
    let y = norm.forward(&leaf, Pass::Train).unwrap();
    let grads = (&y * &g).unwrap().sum_all().unwrap().backward().unwrap();
    let loss = |norm: &dyn Norm, x: &Tensor| {
        let y = norm.forward(x, Pass::Train).unwrap();
        (y * &g).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
    };
    for (name, parameter) in ["bn1.weight", "bn1.bias", "gate_weight", "gate_bias"].iter().zip(norm.parameters()) {
        let at = |i: usize, by: f64| loss(moved(name, i, by).as_ref(), &x);
        let want: Vec<f64> = (0..3).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect();
        assert_close(&host(grads.get(&parameter).unwrap()), &want, 1e-7);
    }
    let want = crate::support::numeric(&|| moved("", 0, 0.0), &x, &g);
    assert_close(&host(grads.get(&leaf).unwrap()), &want, 1e-7);
}

#[test]
fn gates_come_from_each_image_s_own_mean() {
    let norm = moved("", 0, 0.0);
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
