//! Batch-Channel Normalization by its definition; gradients by finite differences with the running averages frozen.

use candle_core::{Device, Tensor, Var};
use mbn::model::Store;
use mbn::norm::{Norm, Pass};

use crate::support::{assert_close, data, host, stored};

const PARAMS: &str = "groups = 2\nmomentum = 0.1";

/// A layer with every parameter away from its initial value, and its variables.
fn layer() -> (std::sync::Arc<dyn Norm>, Vec<(String, Var)>) {
    let store = Store::fresh(0);
    let norm = stored(&store, "estbn", PARAMS, 4);
    let parameters: Vec<_> = store.vars().into_iter().filter(|(name, _)| !name.contains("running")).collect();
    for (name, var) in &parameters {
        let values: Vec<f64> = (0..4).map(|c| 0.08 * name.len() as f64 - 0.3 * c as f64).collect();
        var.set(&Tensor::from_vec(values, 4, &Device::Cpu).unwrap()).unwrap();
    }
    (norm, parameters)
}

/// Each image alone: z from the channels' mean and variance, then two groups of two channels.
fn forward(norm: &dyn Norm, x: &[f64], plane: usize, running: &[(f64, f64)]) -> Vec<f64> {
    let [gamma, beta, gamma1, beta1] = <[Tensor; 4]>::try_from(norm.parameters()).unwrap().map(|t| host(&t));
    let at = |i: usize| i / plane % 4;
    let standard = |(i, x): (usize, &f64)| {
        let (m, v) = running[at(i)];
        gamma1[at(i)] * (x - m) / (v + 1e-5).sqrt() + beta1[at(i)]
    };
    let z: Vec<f64> = x.iter().enumerate().map(standard).collect();
    let mut y = vec![];
    for group in z.chunks_exact(2 * plane) {
        let mean = group.iter().sum::<f64>() / group.len() as f64;
        let var = group.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / group.len() as f64;
        for z in group {
            let c = at(y.len());
            y.push(gamma[c] * (z - mean) / (var + 1e-5).sqrt() + beta[c]);
        }
    }
    y
}

#[test]
fn running_averages_take_in_the_batch_before_they_are_used() {
    for shape in [&[3usize, 4, 2, 2][..], &[3, 4], &[1, 4]] {
        let (norm, _) = layer();
        let plane: usize = shape[2..].iter().product();
        let mut running = [(0.0, 1.0); 4];
        for step in 0..4 {
            let x = data(shape, step);
            let y = host(&norm.forward(&x, Pass::Train).unwrap());
            let x = host(&x);
            for (c, (m, v)) in running.iter_mut().enumerate() {
                let own: Vec<f64> = (0..x.len()).filter(|i| i / plane % 4 == c).map(|i| x[i]).collect();
                let n = own.len() as f64;
                *v += 0.1 * (own.iter().map(|x| (x - *m).powi(2)).sum::<f64>() / n - *v);
                *m += 0.1 * (own.iter().sum::<f64>() / n - *m);
            }
            assert_close(&y, &forward(norm.as_ref(), &x, plane, &running), 1e-12);
        }
        let x = data(shape, 9);
        let y = host(&norm.forward(&x, Pass::Eval).unwrap());
        assert_close(&y, &forward(norm.as_ref(), &host(&x), plane, &running), 1e-12);
    }
}

#[test]
fn gradients_are_those_of_finite_differences_with_the_averages_frozen() {
    for shape in [&[2usize, 4, 2, 2][..], &[3, 4]] {
        let (norm, parameters) = layer();
        norm.forward(&data(shape, 1), Pass::Train).unwrap();
        let (x, g) = (data(shape, 2), data(shape, 3));
        let leaf = Var::from_tensor(&x).unwrap();
        let y = norm.forward(&leaf, Pass::Train).unwrap();
        let grads = (&y * &g).unwrap().sum_all().unwrap().backward().unwrap();
        // Inference uses the averages as the training pass left them, as that pass itself did.
        let loss = |x: &Tensor| {
            let y = norm.forward(x, Pass::Eval).unwrap();
            (y * &g).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
        };
        let with = |t: &Tensor, i: usize, by: f64| {
            let mut values = host(t);
            values[i] += by;
            Tensor::from_vec(values, t.shape(), &Device::Cpu).unwrap()
        };
        let h = 1e-5;
        let differences = |t: &Tensor, loss: &dyn Fn(Tensor) -> f64| -> Vec<f64> {
            let slope = |i| (loss(with(t, i, h)) - loss(with(t, i, -h))) / (2.0 * h);
            (0..t.elem_count()).map(slope).collect()
        };
        assert_close(&host(grads.get(&leaf).unwrap()), &differences(&x, &|x| loss(&x)), 1e-7);
        for (_, var) in &parameters {
            let before = var.as_tensor().copy().unwrap();
            let want = differences(&before, &|values| {
                var.set(&values).unwrap();
                loss(&x)
            });
            var.set(&before).unwrap();
            assert_close(&host(grads.get(var).unwrap()), &want, 1e-7);
        }
    }
}
