//! Identities of training steps.

use candle_core::{DType, Device};
use mbn::config::{Config, Layers};
use mbn::model::Store;
use mbn::norm::{NORMS, Pass, is_statistic};
use mbn::train::Trainer;

use crate::support::{TASK, batch, host};

fn trainer(settings: &[&str]) -> (Config, Trainer) {
    let base = ["model=lenet", "batch_size=6", "lr=0.05", "lr_scaling=none"];
    let layers = base.iter().chain(settings).fold(Layers::new(), |layers, set| layers.set(set).unwrap());
    let config = layers.resolve().unwrap();
    let trainer = Trainer::new(&config, TASK, Store::fresh(1), &Device::Cpu, 10).unwrap();
    (config, trainer)
}

fn run(trainer: &mut Trainer, steps: u64) -> Vec<(String, Vec<f64>)> {
    for step in 0..steps {
        trainer.step(&batch(6, step, DType::F32), &mut |_| {}).unwrap();
    }
    trainer.network().unwrap().store().vars().into_iter().map(|(name, var)| (name, host(var.as_tensor()))).collect()
}

#[test]
fn double_forward_at_learning_rate_zero_is_none() {
    for kind in NORMS.iter().filter(|kind| kind.refreshes) {
        let norm = format!("norm={}", kind.name);
        // Memories that are pushed out and ones that are not; no plain beginnings.
        let variants: &[&[&str]] = match kind.name {
            "mbn" => &[&["mbn.size=2"], &["mbn.size=64"]],
            "mabn" => &[&["mabn.samples=4", "mabn.warmup=0.0", "mabn.uncorrected=0.0"]],
            "cbn" => &[&["cbn.size=2", "cbn.warmup=0.0"]],
            "brn" => &[&["brn.schedule=\"switch\"", "brn.warmup=0.0"]],
            "stochnorm" => &[&["stochnorm.warmup=0.0"]],
            _ => &[&[]],
        };
        for (extra, variant) in [6, 3, 2, 1].iter().flat_map(|n| variants.iter().map(move |v| (n, v))) {
            // LeNet's fully connected layer has one value per channel.
            if *extra == 1 && !["mbn", "mabn"].contains(&kind.name) {
                continue;
            }
            let extra = format!("norm_batch_size={extra}");
            let settings = [&["lr=0.0", "weight_decay=0.0", &norm, &extra], *variant].concat();
            let plain = run(&mut trainer(&settings).1, 4);
            let doubled = run(&mut trainer(&[&settings[..], &["double_forward=true"]].concat()).1, 4);
            for ((name, a), (_, b)) in plain.iter().zip(&doubled) {
                let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-6, "{norm} {extra}: {name} differs by {worst}");
            }
        }
    }
}

#[test]
fn double_forward_remembers_the_statistics_of_the_updated_weights() {
    let (_, mut trainer) = trainer(&["norm=mbn", "double_forward=true"]);
    run(&mut trainer, 3);
    // The refreshed slot of the first layer has the batch statistics under the present weights.
    let x = batch(6, 2, DType::F32).x;
    trainer.network().unwrap().forward(&x, Pass::Batch).unwrap();
    let first = &trainer.network().unwrap().norms()[0].norm;
    let seen = host(&first.observed().unwrap().batch.mean);
    let memory = &trainer.network().unwrap().tensors()["bn1.memory_mean"];
    let newest = host(&memory.narrow(0, 0, 1).unwrap());
    assert!(seen.iter().zip(&newest).all(|(a, b)| (a - b).abs() < 1e-6), "{seen:?} {newest:?}");
}

#[test]
fn accumulated_micro_batches_of_a_statistics_free_network_are_the_whole_batch() {
    for norm in ["gn", "none"] {
        let norm = format!("norm={norm}");
        let whole = run(&mut trainer(&[&norm]).1, 3);
        let parts = run(&mut trainer(&[&norm, "norm_batch_size=2"]).1, 3);
        for ((name, a), (_, b)) in whole.iter().zip(&parts) {
            let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-5, "{norm}: {name} differs by {worst}");
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_before_the_update() {
    let (_, mut trainer) = trainer(&["norm=none"]);
    let (_, weight) =
        trainer.network().unwrap().parameters().into_iter().find(|(name, _)| name == "fc2.weight").unwrap();
    let before = trainer.network().unwrap().tensors()["conv1.weight"].copy().unwrap();
    weight.set(&(weight.as_tensor() * f64::NAN).unwrap()).unwrap();
    let error = trainer.step(&batch(6, 0, DType::F32), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, mbn::Error::Diverged { step: 1, tensor } if tensor == "fc2.weight"), "{error}");
    assert_eq!(host(&before), host(&trainer.network().unwrap().tensors()["conv1.weight"]));
}

#[test]
fn frozen_statistics_stay_while_weights_are_trained_and_no_second_pass_is_made() {
    for norm in ["bn", "mbn", "mabn", "cbn"] {
        let norm_is = format!("norm={norm}");
        let doubled =
            if norm.starts_with('b') || norm == "mbn" { "double_forward=true" } else { "double_forward=false" };
        let (_, mut trainer) = trainer(&[&norm_is, doubled]);
        let warm = run(&mut trainer, 3);
        trainer.frozen = true;
        let frozen = run(&mut trainer, 3);
        for ((name, before), (_, after)) in warm.iter().zip(&frozen) {
            assert_eq!(before == after, is_statistic(name), "{norm}: {name}");
        }
    }
}
