//! Small networks and batches of noise.

use candle_core::{DType, Device, Tensor};
use mbn::data::Batch;
use mbn::model::{Architecture, Design, Network, Shortcut, Store, Task};
use mbn::norm::NormSpec;

pub const TASK: Task = Task { shape: [1, 16, 16], classes: 4 };

pub fn batch(n: usize, tag: u64, dtype: DType) -> Batch {
    let mut stream = mbn::rng::stream(tag, "test pictures");
    let [c, h, w] = TASK.shape;
    let x: Vec<f64> = (0..n * c * h * w).map(|_| stream.normal()).collect();
    let y: Vec<u32> = (0..n).map(|_| stream.below(TASK.classes) as u32).collect();
    let x = Tensor::from_vec(x, (n, c, h, w), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    Batch { x, y: Tensor::from_vec(y, n, &Device::Cpu).unwrap() }
}

pub fn network(model: &str, norm: &str) -> Network {
    // The gradient of MBN's memory is not that of its forward pass.
    let params = if norm == "mbn" {
        toml::toml! { size = 2 stat_grad = "weighted" }
    } else {
        toml::Table::new()
    };
    let spec = NormSpec::new(norm, &params).unwrap();
    Network::new(architecture(model), TASK, &spec, Store::fresh(3), DType::F64, &Device::Cpu).unwrap()
}

/// The network of a name, which may end in ` with projections`.
pub fn architecture(model: &str) -> Architecture<'_> {
    match model.strip_suffix(" with projections") {
        None => model.into(),
        Some(name) => Architecture { name, design: Design { shortcut: Shortcut::Projection, ..Design::default() } },
    }
}

pub fn host(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The network with that design, its tensors from `store`.
pub fn designed(name: &str, norm: &str, design: Design, store: Store) -> Network {
    let spec = NormSpec::new(norm, &toml::Table::new()).unwrap();
    Network::new(Architecture { name, design }, TASK, &spec, store, DType::F64, &Device::Cpu).unwrap()
}
