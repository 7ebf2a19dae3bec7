//! A GPU against the CPU: both must compute the same.
//!
//! Without a usable GPU, or in a build without the feature `cuda` or `metal`, these tests say so and pass. MBN_TEST_DEVICE
//! names another device; `cpu` rehearses them: plain tensor operations, as on a GPU, against the fused kernels.

use candle_core::{Device, Tensor};
use mbn::config::Layers;
use mbn::data::Batch;
use mbn::model::{Store, Task};
use mbn::norm::{NORMS, Pass};
use mbn::run::open_device;
use mbn::train::{Checkpoint, Trainer};

const STEPS: usize = 20;

/// The device to compare with the CPU, if there is one.
fn device() -> Option<Device> {
    let chosen = std::env::var("MBN_TEST_DEVICE").ok().filter(|name| !name.is_empty());
    let name = chosen.clone().unwrap_or_else(|| if cfg!(feature = "metal") { "metal" } else { "cuda" }.into());
    match open_device(&name) {
        Ok(device) => Some(device),
        Err(error) if chosen.is_some() => panic!("MBN_TEST_DEVICE: {error}"),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// One network and the settings it is trained with.
struct Case {
    model: &'static str,
    norm: &'static str,
    settings: &'static [&'static str],
}

impl Case {
    /// Every normalizer on feature maps, with Double-Forward where it exists, three of them after a fully connected layer and
    /// in a deep network, and other variants of network and training.
    fn all() -> Vec<Self> {
        let mut cases = vec![];
        for kind in NORMS {
            cases.push(Self { model: "resnet8", norm: kind.name, settings: &[] });
            if kind.refreshes {
                cases.push(Self {
                    model: "resnet8",
                    norm: kind.name,
                    settings: &["double_forward=true", "norm_batch_size=4"],
                });
            }
        }
        for norm in ["bn", "mbn", "gn"] {
            cases.extend(["lenet", "resnet20"].map(|model| Self { model, norm, settings: &[] }));
        }
        let others: [(_, &[_]); 5] = [
            ("lenet", &["optimizer=adamw", "weight_decay=0.01"]),
            ("mlp", &["init=torch", "center_weights=true"]),
            ("plain", &[]),
            ("resnet8", &["shortcut=projection", "zero_init_residual=true"]),
            ("preact-resnet8", &["nesterov=true"]),
        ];
        cases.extend(others.map(|(model, settings)| Self { model, norm: "mbn", settings }));
        cases
    }

    fn task(&self) -> Task {
        let shape = if ["lenet", "mlp"].contains(&self.model) { [1, 28, 28] } else { [3, 32, 32] };
        Task { shape, classes: 10 }
    }

    /// A trainer with fresh weights, and a learning rate at which rounding is not amplified from step to step.
    fn trainer(&self, device: &Device, kernels: &str) -> Trainer {
        let mut layers = Layers::new();
        let (model, norm) = (format!("model={}", self.model), format!("norm={}", self.norm));
        let fixed = ["dataset=digits", "batch_size=8", "lr=0.0002", "lr_scaling=none", "epochs=1"];
        let fixed = fixed.into_iter().chain([model.as_str(), norm.as_str()]);
        for setting in fixed.chain(self.settings.iter().copied()).chain([format!("kernels={kernels}").as_str()]) {
            layers = layers.set(setting).unwrap();
        }
        let config = layers.resolve().unwrap();
        Trainer::new(&config, self.task(), Store::fresh(3), device, STEPS).unwrap()
    }

    /// Eight random images with a class's pattern in each; the same for every device.
    fn batch(&self, tag: u64, device: &Device) -> Batch {
        let Task { shape: [c, h, w], classes } = self.task();
        let mut stream = mbn::rng::stream(tag, "device");
        let labels: Vec<u32> = (0..8).map(|_| stream.below(classes) as u32).collect();
        let mut values = vec![];
        for label in &labels {
            let signal = |i: usize| if i % classes == *label as usize { 2.0 } else { 0.0 };
            values.extend((0..c * h * w).map(|i| (stream.normal() + signal(i)) as f32));
        }
        Batch {
            x: Tensor::from_vec(values, (8, c, h, w), device).unwrap(),
            y: Tensor::from_vec(labels, 8, device).unwrap(),
        }
    }

    fn train(&self, device: &Device, kernels: &str) -> (Vec<f64>, Trainer) {
        let mut trainer = self.trainer(device, kernels);
        let step = |tag: usize| trainer.step(&self.batch(tag as u64, device), &mut |_| {}).unwrap().loss;
        let losses = (0..STEPS).map(step).collect();
        (losses, trainer)
    }

    /// Logits of a batch, in a pass that does not change state.
    fn logits(&self, trainer: &Trainer, pass: Pass, device: &Device) -> Vec<f64> {
        host(&trainer.network().unwrap().forward(&self.batch(99, device).x, pass).unwrap())
    }

    fn name(&self) -> String {
        format!("{} {} {:?}", self.model, self.norm, self.settings)
    }
}

fn host(t: &Tensor) -> Vec<f64> {
    let values = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f64::from).collect()
}

fn assert_close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    let largest = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max);
    assert!(got.len() == want.len() && largest <= tolerance, "{what}: off by {largest:e}\n{got:?}\n{want:?}");
}

#[test]
fn losses_of_twenty_steps_are_the_cpu_s() {
    let Some(device) = device() else { return };
    for case in Case::all() {
        let ((want, cpu), (got, there)) = (case.train(&Device::Cpu, "fused"), case.train(&device, "plain"));
        assert_close(&case.name(), &got, &want, 1e-4);
        for pass in [Pass::Eval, Pass::Probe] {
            let [want, got] = [case.logits(&cpu, pass, &Device::Cpu), case.logits(&there, pass, &device)];
            assert_close(&format!("{}, {pass:?}", case.name()), &got, &want, 2e-3);
        }
    }
}

#[test]
fn weights_begin_the_same() {
    let Some(device) = device() else { return };
    for model in ["lenet", "resnet20"] {
        let case = Case { model, norm: "mbn", settings: &[] };
        let [here, there] =
            [Device::Cpu, device.clone()].map(|device| case.trainer(&device, "plain").network().unwrap().tensors());
        assert_eq!(here.len(), there.len());
        for (name, tensor) in &here {
            assert_eq!(host(tensor), host(&there[name]), "{model}: {name}");
        }
    }
}

#[test]
fn a_checkpoint_goes_there_and_back() {
    let Some(device) = device() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (norm, settings) in [("bn", &[][..]), ("mbn", &["double_forward=true"][..])] {
        let case = Case { model: "lenet", norm, settings };
        for (from, to) in [(Device::Cpu, device.clone()), (device.clone(), Device::Cpu)] {
            let (_, trainer) = case.train(&from, "plain");
            let file = folder.path().join("checkpoint.safetensors");
            Checkpoint::of(&trainer, "", case.model, case.task(), None).unwrap().save(&file).unwrap();
            let loaded = Checkpoint::load(&file, &to).unwrap();
            for (name, tensor) in trainer.network().unwrap().tensors() {
                assert_eq!(host(&tensor), host(&loaded.tensors[&name]), "{norm}: {name}");
            }
        }
    }
}
