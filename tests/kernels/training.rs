//! The same short trainings with fused, direct and plain kernels: the same losses, and the same accuracy as far as so few
//! images can show.

use candle_core::Device;
use mbn::config::Layers;
use mbn::data::{self, Dataset, Source};
use mbn::model::{Store, Task};
use mbn::train::{Part, Trainer, evaluate};

use crate::support::on_one_isa;

/// Images of an epoch, and of a step.
const EPOCH: usize = 600;
const BATCH: usize = 10;

/// Images that accuracy is measured on.
const TEST: u32 = 1000;

/// MNIST where it is available (`MBN_DATA_DIR`), else generated digits.
fn images() -> Dataset {
    let source = Source { data_dir: std::env::var_os("MBN_DATA_DIR").map(Into::into), hub: false, ..Source::default() };
    let mnist = source.data_dir.is_some().then(|| data::load("mnist", &source).ok()).flatten();
    mnist.unwrap_or_else(|| data::load("digits", &source).unwrap())
}

/// Losses of so many steps, and the accuracy after them.
fn train(images: &Dataset, model: &str, kernels: &str, lr: f64, steps: usize) -> (Vec<f64>, f64) {
    let settings = ["norm=mbn", "double_forward=true", "lr_scaling=none", "epochs=2"];
    let chosen = [format!("batch_size={BATCH}"), format!("model={model}"), format!("kernels={kernels}")];
    let chosen = chosen.into_iter().chain([format!("lr={lr}")]).collect::<Vec<_>>();
    let all = settings.into_iter().chain(chosen.iter().map(String::as_str));
    let config = all.fold(Layers::new(), |layers, set| layers.set(set).unwrap()).resolve().unwrap();
    let task = Task { shape: images.shape, classes: images.classes };
    let (normalization, device) = (&images.normalization(), &Device::Cpu);
    let mut trainer = Trainer::new(&config, task, Store::fresh(1), device, EPOCH / BATCH).unwrap();
    let order = |epoch| data::epoch_order(&Vec::from_iter(0..EPOCH as u32), 1, epoch);
    let indices = &[order(0), order(1)].concat();
    let part = Part { images: &images.train, normalization, indices, device };
    let mut losses = vec![];
    for from in (0..steps).map(|step| step * BATCH) {
        losses.push(trainer.step(&part.batch(from, from + BATCH).unwrap(), &mut |_| {}).unwrap().loss);
    }
    let indices = &Vec::from_iter(0..TEST);
    let test = Part { images: &images.test, normalization, indices, device };
    (losses, evaluate(trainer.network().unwrap(), test).unwrap().accuracy)
}

#[test]
fn a_short_training_is_as_accurate_however_it_is_computed() {
    let _isa = on_one_isa();
    let images = images();
    let accuracy = |kernels| train(&images, "lenet", kernels, 0.02, 2 * EPOCH / BATCH).1;
    let [fused, direct, plain] = ["fused", "direct", "plain"].map(accuracy);
    assert!(plain > 0.7, "too little is learned to compare by: {plain}");
    // Two standard errors of the difference between two networks of that accuracy.
    let noise = 2.0 * (2.0 * plain * (1.0 - plain) / f64::from(TEST)).sqrt();
    for (kernels, accuracy) in [("fused", fused), ("direct", direct)] {
        assert!((accuracy - plain).abs() <= noise, "{kernels} {accuracy}, plain {plain}, noise {noise}");
    }
}

#[test]
fn the_first_steps_have_the_same_losses_however_they_are_computed() {
    let _isa = on_one_isa();
    let images = images();
    // The residual network is the one with layers for Winograd's algorithm.
    for model in ["lenet", "resnet8"] {
        // A rate at which a rounding error does not grow from step to step.
        let losses = |kernels| train(&images, model, kernels, 0.002, 12).0;
        let [fused, direct, plain] = ["fused", "direct", "plain"].map(losses);
        for (kernels, losses) in [("fused", fused), ("direct", direct)] {
            let off = losses.iter().zip(&plain).map(|(loss, plain)| (loss - plain).abs() / plain).fold(0.0, f64::max);
            assert!(off < 1e-4, "{model}, {kernels}: {losses:?}, plain {plain:?}");
        }
    }
}
