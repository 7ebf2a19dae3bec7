//! Random tensors, gradients, and the two comparisons every operation goes through.

use candle_core::{DType, Device, Result, Tensor, Var};
use mbn::rng;

/// A function of tensors under test.
pub type Function<'a> = &'a (dyn Fn(&[Tensor]) -> Result<Tensor> + Sync);

/// Standard normal values, f64.
pub fn random(name: &str, shape: &[usize]) -> Tensor {
    let mut stream = rng::stream(7, name);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The values of a tensor in reading order, as f64.
pub fn list(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// A fixed random projection of the output, so that every output contributes with a different weight.
fn project(y: &Tensor) -> Result<Tensor> {
    (y * random("projection", y.dims()).to_dtype(y.dtype())?)?.sum_all()
}

/// The value of `f` and the gradients of its projection by every input.
pub fn value_and_gradients(f: Function, inputs: &[Tensor]) -> (Tensor, Vec<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let grads = project(&y).unwrap().backward().unwrap();
    let gradients = tensors.iter().map(|t| grads.get(t).expect("an input without gradient").clone()).collect();
    (y.detach(), gradients)
}

/// Largest difference relative to the largest value of `expected`; infinite if a NaN is involved.
pub fn difference(actual: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let scale = expected.iter().fold(1e-300, |s: f64, v| s.max(v.abs()));
    let differences = actual.iter().zip(expected).map(|(a, e)| (a - e).abs() / scale);
    differences.fold(0.0, |most: f64, d| if d.is_nan() { f64::INFINITY } else { most.max(d) })
}

pub fn assert_close(what: &str, actual: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(actual.dims(), expected.dims(), "{what}: shape");
    assert_eq!(actual.dtype(), expected.dtype(), "{what}: type");
    let d = difference(&list(actual), &list(expected));
    assert!(d <= tolerance, "{what}: relative difference {d:e}");
}

/// Demands that two forms of an operation agree in value and in every gradient, in f64 and f32.
pub fn assert_same(what: &str, own: Function, plain: Function, inputs: &[Tensor]) {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
        let inputs: Vec<Tensor> = inputs.iter().map(|t| t.to_dtype(dtype).unwrap()).collect();
        let (y, gradients) = value_and_gradients(own, &inputs);
        let (expected, expected_gradients) = value_and_gradients(plain, &inputs);
        assert_close(&format!("{what} {dtype:?}, value"), &y, &expected, tolerance);
        for (i, (g, e)) in gradients.iter().zip(&expected_gradients).enumerate() {
            assert_close(&format!("{what} {dtype:?}, gradient {i}"), g, e, tolerance);
        }
    }
}

/// Demands that the gradients of `f` are those that central differences give for `reference` (mostly `f` itself).
pub fn assert_gradients_of(what: &str, f: Function, reference: Function, inputs: &[Tensor]) {
    let (_, gradients) = value_and_gradients(f, inputs);
    let step = 1e-5;
    let at = |which: usize, i: usize, by: f64| {
        let mut moved = inputs.to_vec();
        let mut values = list(&inputs[which]);
        values[i] += by;
        moved[which] = Tensor::from_vec(values, inputs[which].shape(), &Device::Cpu).unwrap();
        project(&reference(&moved).unwrap()).unwrap().to_scalar::<f64>().unwrap()
    };
    for (which, gradient) in gradients.iter().enumerate() {
        let analytic = list(gradient);
        let probes: Vec<usize> = (0..analytic.len()).step_by(analytic.len().div_ceil(40)).collect();
        let numeric: Vec<f64> =
            probes.iter().map(|&i| (at(which, i, step) - at(which, i, -step)) / (2.0 * step)).collect();
        let d = difference(&probes.iter().map(|&i| analytic[i]).collect::<Vec<_>>(), &numeric);
        assert!(d < 1e-7, "{what}, input {which}: finite differences differ by {d:e}");
    }
}

pub fn assert_gradients(what: &str, f: Function, inputs: &[Tensor]) {
    assert_gradients_of(what, f, f, inputs);
}
