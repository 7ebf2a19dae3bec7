//! Tools of the comparison: values from names, as `scripts/golden.py` computes them, and summaries of tensors.

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use serde::{Deserialize, de::DeserializeOwned};

/// Largest accepted difference, relative to the size of the values.
const TOLERANCE: f64 = 1e-9;

/// The cases of one file.
pub fn cases<T: DeserializeOwned>(json: &str) -> Vec<T> {
    let cases: Vec<T> = serde_json::from_str(json).unwrap();
    assert!(!cases.is_empty());
    cases
}

/// Uniform in [-1, 1), the i-th value from SplitMix64 at FNV-1a(name) + i.
fn uniform(name: &str, len: usize) -> Vec<f64> {
    let hash = |seed: u64, byte: u8| (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, hash);
    let value = |i: u64| {
        let z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (1..=len as u64).map(value).collect()
}

/// The tensor called `name`, uniform in [-1, 1).
pub fn tensor(name: &str, shape: &[usize]) -> Tensor {
    Tensor::from_vec(uniform(name, shape.iter().product()), shape, &Device::Cpu).unwrap()
}

/// Value of the parameter called `name`: He's range for kernels, near 1 for scales and variances.
pub fn parameter(name: &str, shape: &[usize]) -> Tensor {
    let (scale, offset) = match shape {
        [_, inner @ ..] if !inner.is_empty() => ((6.0 / inner.iter().product::<usize>() as f64).sqrt(), 0.0),
        _ if name.ends_with("weight") || name.ends_with("running_var") => (0.25, 1.0),
        _ => (0.25, 0.0),
    };
    tensor(name, shape).affine(scale, offset).unwrap()
}

/// Variables in f64 and what builds with them.
pub fn variables() -> (VarMap, VarBuilder<'static>) {
    let vars = VarMap::new();
    let vb = VarBuilder::from_varmap(&vars, DType::F64, &Device::Cpu);
    (vars, vb)
}

/// A tensor in a few numbers; `dot` is its dot product with a fixed vector, which detects permutations.
#[derive(Deserialize)]
pub struct Summary {
    len: usize,
    sum: f64,
    norm: f64,
    dot: f64,
    first: Vec<f64>,
    last: Vec<f64>,
}

impl Summary {
    /// Whether it is a tensor of zeros, up to rounding.
    pub fn is_nothing(&self) -> bool {
        self.norm < 1e-12
    }

    /// Fails unless `actual` has this summary.
    pub fn check(&self, what: &str, actual: &Tensor) {
        let values = actual.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(values.len(), self.len, "{what}: length");
        let dot: f64 = values.iter().zip(uniform("dot", self.len)).map(|(v, d)| v * d).sum();
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        close(&format!("{what}: sum"), values.iter().sum(), self.sum, self.norm);
        close(&format!("{what}: norm"), norm, self.norm, self.norm);
        close(&format!("{what}: dot"), dot, self.dot, self.norm);
        let median_of_medians = self.norm / (self.len as f64).sqrt();
        let ends = values.iter().zip(&self.first).chain(values.iter().rev().zip(self.last.iter().rev()));
        for (i, (&ours, &theirs)) in ends.enumerate() {
            close(&format!("{what}: value {i} of the ends"), ours, theirs, median_of_medians);
        }
    }
}

/// Fails unless `ours` equals `theirs`, relative to `scale`.
pub fn close(what: &str, ours: f64, theirs: f64, scale: f64) {
    let difference = (ours - theirs).abs();
    assert!(difference <= TOLERANCE * scale, "{what}: {ours} here, {theirs} in PyTorch (size {scale})");
}
