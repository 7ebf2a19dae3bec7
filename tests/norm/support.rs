//! Layers, data and comparisons.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use mbn::model::Store;
use mbn::norm::{Kind, NORMS, Norm, NormSpec, Pass, Site, is_statistic};
use toml::Table;

/// A layer of `features` channels whose parameters and state are those of a store.
pub fn stored(store: &Store, name: &str, params: &str, features: usize) -> Arc<dyn Norm> {
    let spec = NormSpec::new(name, &params.parse::<Table>().unwrap()).unwrap();
    spec.build(Site::new(features, store.builder(DType::F64, &Device::Cpu).pp("bn1"))).unwrap()
}

/// A layer of `features` channels with scale and shift away from 1 and 0.
pub fn layer(name: &str, params: &str, features: usize) -> Arc<dyn Norm> {
    let store = Store::fresh(0);
    let norm = stored(&store, name, params, features);
    for (name, var) in store.vars() {
        let shift = if name.ends_with(".weight") { 0.7 } else { -0.2 };
        if name.ends_with(".weight") || name.ends_with(".bias") {
            let values: Vec<f64> = (0..features).map(|c| shift + 0.3 * c as f64).collect();
            var.set(&Tensor::from_vec(values, features, &Device::Cpu).unwrap()).unwrap();
        }
    }
    norm
}

/// A layer with all parameters away from their initial values, and one value of one of them moved; and its tensors.
pub fn moved(name: &str, params: &str, features: usize, by: (&str, usize, f64)) -> (Arc<dyn Norm>, Store) {
    let store = Store::fresh(0);
    let norm = stored(&store, name, params, features);
    for (known, var) in store.vars().into_iter().filter(|(known, _)| !is_statistic(known)) {
        let value = |i: usize| known.len() as f64 * 0.05 - 0.4 * (i % features) as f64;
        let mut values: Vec<f64> = (0..var.elem_count()).map(value).collect();
        if known == by.0 {
            values[by.1] += by.2;
        }
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    (norm, store)
}

/// Deterministic data, with a different distribution for every `tag` and channel.
pub fn data(shape: &[usize], tag: u64) -> Tensor {
    let mut stream = mbn::rng::stream(tag, "test data");
    let count: usize = shape.iter().product();
    let inner: usize = shape[2..].iter().product();
    let value = |i: usize, z: f64| {
        let channel = (i / inner) % shape[1];
        z * (1.0 + 0.5 * channel as f64) + 0.4 * channel as f64 + 0.2 * tag as f64
    };
    let values: Vec<f64> = (0..count).map(|i| value(i, stream.normal())).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub fn host(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1::<f64>().unwrap()
}

#[track_caller]
pub fn assert_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "entry {i}: got {g}, want {w} (scale {scale})");
    }
}

/// Output and gradient of the input for sum(y · g) in a training pass.
pub fn train(norm: &dyn Norm, x: &Tensor, g: &Tensor) -> (Tensor, Tensor) {
    let x = Var::from_tensor(x).unwrap();
    let y = norm.forward(x.as_tensor(), Pass::Train).unwrap();
    let grads = (&y * g).unwrap().sum_all().unwrap().backward().unwrap();
    (y.detach(), grads.get(&x).unwrap().clone())
}

/// Normalizers that do not need the layer before them.
pub fn alone() -> impl Iterator<Item = &'static Kind> {
    NORMS.iter().filter(|kind| kind.name != "cbn")
}

/// Whether a normalizer has to refuse such an input: one value per group, whatever the batch.
pub fn refuses(name: &str, shape: &[usize]) -> bool {
    name == "in" && shape[2..].iter().product::<usize>() == 1
}

/// Of those, the ones that Double-Forward refreshes.
pub fn refreshed() -> impl Iterator<Item = &'static Kind> {
    alone().filter(|kind| kind.refreshes)
}

/// Parameters under which a normalizer has the gradient of its forward pass with remembered values held constant; none where
/// the gradient differs by design.
pub fn exact(name: &str) -> Option<&'static str> {
    match name {
        "mabn" | "online" | "estbn" => None,
        // Its corrections are constants.
        "brn" => Some("r_max = 1.0\nd_max = 0.0"),
        "gn" | "gn-bn" => Some("groups = 2"),
        // With one value per image and channel and the usual eps, it is nearly a step function.
        "frn" => Some("eps = 0.01"),
        "mbn" => Some("stat_grad = \"weighted\""),
        _ => Some(""),
    }
}

/// Parameters with a memory so short that a few batches fill it.
pub fn short(name: &str) -> &'static str {
    match name {
        "mbn" => "size = 2",
        "mabn" => "samples = 4",
        _ => "",
    }
}

/// d sum(y·g)/dx by central differences; a new layer with the same history for every evaluation.
pub fn numeric(make: &dyn Fn() -> Arc<dyn Norm>, x: &Tensor, g: &Tensor) -> Vec<f64> {
    let values = host(x);
    let at = |i: usize, h: f64| {
        let mut moved = values.clone();
        moved[i] += h;
        let moved = Tensor::from_vec(moved, x.shape(), &Device::Cpu).unwrap();
        let y = make().forward(&moved, Pass::Train).unwrap();
        (y * g).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
    };
    let h = 1e-5;
    (0..values.len()).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect()
}
