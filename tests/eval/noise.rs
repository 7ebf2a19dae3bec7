//! Noise on the weights: reproducible, of the requested size, and removed afterwards.

use candle_core::{DType, Device, Tensor};
use mbn::model::{Network, Store, Task};
use mbn::norm::NormSpec;
use mbn::train::noise::Weights;

use super::support::{refused, report, run};

fn of_run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&[run().to_str().unwrap()], more].concat()
}

fn host(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    (values.map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[test]
fn weights_get_noise_of_their_own_size_and_everything_else_none() {
    let task = Task { shape: [1, 28, 28], classes: 10 };
    let spec = NormSpec::new("bn", &toml::Table::new()).unwrap();
    let network = Network::new("lenet", task, &spec, Store::fresh(1), DType::F32, &Device::Cpu).unwrap();
    let copied = || network.tensors().into_iter().map(|(name, t)| (name, host(&t)));
    let clean: std::collections::BTreeMap<_, _> = copied().collect();
    let weights = Weights::of(&network).unwrap();
    weights.disturb(0.3, 0).unwrap();
    weights.disturb(0.1, 2).unwrap();
    for (name, noisy) in copied() {
        let apart = noisy.iter().zip(&clean[&name]).map(|(a, b)| a - b);
        match name.as_str() {
            "conv1.weight" | "conv2.weight" | "fc1.weight" | "fc2.weight" => {
                let relative = deviation(apart) / deviation(clean[&name].iter().copied());
                let tolerance = 4.0 / (2.0 * noisy.len() as f64).sqrt();
                assert!((relative / 0.1 - 1.0).abs() < tolerance, "{name}: {relative}");
            }
            _ => assert_eq!(noisy, clean[&name], "{name}"),
        }
    }
    weights.restore().unwrap();
    assert!(copied().all(|(name, values)| values == clean[&name]));
}

#[test]
fn draws_are_the_same_every_time_and_leave_the_checkpoint_alone() {
    let path = run().join("last.safetensors");
    let before = std::fs::read(&path).unwrap();
    let (found, messages) = report(&of_run(&["--weight-noise", "0.3", "--noise-draws", "3"]));
    assert!(messages.is_empty(), "{messages}");
    assert_eq!(report(&of_run(&["--weight-noise", "0.3", "--noise-draws", "3"])).0, found);
    assert!(std::fs::read(&path).unwrap() == before);
    let results = found["noise"]["results"].as_array().unwrap();
    let names: Vec<_> = results.iter().map(|result| result["stats"].as_str().unwrap()).collect();
    assert_eq!(names, ["ema", "precise"]);
    for result in results {
        for key in ["loss", "accuracy"] {
            let draws: Vec<f64> =
                result["draws"].as_array().unwrap().iter().map(|draw| draw[key].as_f64().unwrap()).collect();
            assert_eq!(draws.len(), 3);
            assert!(draws[0] != draws[1] || draws[1] != draws[2], "{draws:?}");
            let (mean, sd) = (result[key]["mean"].as_f64().unwrap(), result[key]["sd"].as_f64().unwrap());
            assert!((mean - draws.iter().sum::<f64>() / 3.0).abs() < 1e-12);
            assert!((sd - deviation(draws.iter().copied()) * 1.5f64.sqrt()).abs() < 1e-12);
        }
    }
    // The first draws are the same, however many there are.
    let (one, _) = report(&of_run(&["--weight-noise", "0.3", "--noise-draws", "1"]));
    assert_eq!(one["noise"]["results"][1]["draws"][0], results[1]["draws"][0]);
    assert!(one["noise"]["results"][1]["loss"]["sd"].is_null());
}

#[test]
fn noise_that_changes_nothing_scores_what_there_is_without_it() {
    let (found, _) = report(&of_run(&["--weight-noise", "1e-12", "--noise-draws", "1"]));
    assert_eq!(found["noise"]["results"][0]["draws"][0]["loss"], found["loss"]);
    let precise = report(&of_run(&["--stats", "precise"])).0;
    assert_eq!(found["noise"]["results"][1]["draws"][0]["loss"], precise["loss"]);
    // More images than an evaluation batch: in a single one, pooled statistics would equal those layer by layer.
    let some = ["--precise-examples", "500"];
    let noisy = ["--weight-noise", "1e-12", "--noise-draws", "1", "--layer-by-layer"];
    let noisy = report(&of_run(&[&some[..], &noisy].concat())).0;
    let precise = |more: &[&'static str]| report(&of_run(&[&some[..], &["--stats", "precise"], more].concat())).0;
    let layered = precise(&["--layer-by-layer"]);
    assert_eq!(noisy["noise"]["results"][1]["draws"][0]["loss"], layered["loss"]);
    assert_ne!(layered["loss"], precise(&[])["loss"]);
}

#[test]
fn what_has_no_effect_is_refused() {
    for (more, part) in [
        (&["--weight-noise", "0"][..], "above 0"),
        (&["--weight-noise", "-1"], "above 0"),
        (&["--weight-noise", "nan"], "above 0"),
        (&["--weight-noise", "0.1", "--noise-draws", "0"], "at least 1"),
        (&["--weight-noise", "0.1", "--stats", "precise"], "leave out --stats precise"),
        (&["--noise-draws", "3"], "--weight-noise"),
        (&["--layer-by-layer"], "only with --stats precise or --weight-noise"),
        (&["--precise-examples", "100"], "--stats precise"),
        (&["--stats", "batch", "--precise-examples", "100"], "--stats precise"),
    ] {
        refused(2, &of_run(more), &[part]);
    }
}
