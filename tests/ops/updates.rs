//! Optimizer updates: the CPU's kernels against candle's operations, which half precision uses.

use candle_core::{DType, Device, Tensor};
use mbn::ops::{AdamWStep, SgdStep, adamw_step, sgd_step};

const LEN: usize = 37;

fn values(tag: &str, dtype: DType) -> Tensor {
    let mut stream = mbn::rng::stream(21, tag);
    let values: Vec<f32> = (0..LEN).map(|_| stream.normal() as f32).collect();
    // Rounded to half precision, so that both start from the same values.
    Tensor::from_vec(values, LEN, &Device::Cpu).unwrap().to_dtype(DType::F16).unwrap().to_dtype(dtype).unwrap()
}

/// Three tensors after an update in both precisions.
fn compare(what: &str, update: impl Fn(&Tensor, &Tensor, [&Tensor; 2])) {
    let after = |dtype| {
        let [parameter, gradient, first, second] = ["p", "g", "m", "v"].map(|tag| values(tag, dtype));
        let second = second.sqr().unwrap();
        let before = parameter.copy().unwrap();
        update(&parameter, &gradient, [&first, &second]);
        assert!(host(&parameter) != host(&before), "{what} in {dtype:?}: nothing happened");
        [parameter, first, second].map(|t| host(&t)).concat()
    };
    for (i, (ours, plain)) in after(DType::F32).iter().zip(after(DType::F16)).enumerate() {
        assert!((ours - plain).abs() < 1e-2 * (1.0 + ours.abs()), "{what}, {i}: {ours} and {plain}");
    }
}

fn host(t: &Tensor) -> Vec<f32> {
    t.to_dtype(DType::F32).unwrap().to_vec1().unwrap()
}

#[test]
fn kernels_and_tensors_make_the_same_updates() {
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        compare(&format!("momentum {momentum}, nesterov {nesterov}"), |p, g, [buffer, _]| {
            let by = SgdStep { rate: 0.5, momentum, decay: 0.25, nesterov };
            sgd_step(p, g, (momentum > 0.0).then_some(buffer), by).unwrap();
        });
    }
    for number in [1, 7] {
        compare(&format!("update {number} of adamw"), |p, g, averages| {
            let by = AdamWStep { rate: 0.25, betas: [0.875, 0.75], eps: 1e-3, decay: 0.5, number };
            adamw_step(p, g, averages, by).unwrap();
        });
    }
}

#[test]
fn what_does_not_belong_to_a_parameter_is_refused() {
    let [p, g] = ["p", "g"].map(|tag| values(tag, DType::F32));
    let short = g.narrow(0, 0, LEN - 1).unwrap();
    let by = AdamWStep { rate: 0.25, betas: [0.9, 0.99], eps: 1e-8, decay: 0.0, number: 1 };
    for (gradient, average) in [(&short, &g), (&g, &short), (&g, &values("m", DType::F64))] {
        let error = adamw_step(&p, gradient, [&g.copy().unwrap(), average], by).unwrap_err().to_string();
        assert!(error.contains("adamw_step: the parameter is"), "{error}");
    }
}
