//! Whole networks: gradients by finite differences, and training steps with their identities.

use candle_core::{DType, Device, Tensor};
use mbn::config::{Config, Layers};
use mbn::data::Batch;
use mbn::model::{Architecture, Design, Initialization, Network, Shortcut, Store, Task};
use mbn::norm::{NORMS, NormSpec, Pass, is_statistic, is_undefined};
use mbn::ops;
use mbn::train::Trainer;

const TASK: Task = Task { shape: [1, 16, 16], classes: 4 };

fn batch(n: usize, tag: u64, dtype: DType) -> Batch {
    let mut stream = mbn::rng::stream(tag, "test pictures");
    let [c, h, w] = TASK.shape;
    let x: Vec<f64> = (0..n * c * h * w).map(|_| stream.normal()).collect();
    let y: Vec<u32> = (0..n).map(|_| stream.below(TASK.classes) as u32).collect();
    let x = Tensor::from_vec(x, (n, c, h, w), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    Batch { x, y: Tensor::from_vec(y, n, &Device::Cpu).unwrap() }
}

fn network(model: &str, norm: &str) -> Network {
    // The gradient of MBN's memory is not that of its forward pass.
    let params = if norm == "mbn" {
        toml::toml! { size = 2 stat_grad = "weighted" }
    } else {
        toml::Table::new()
    };
    let spec = NormSpec::new(norm, &params).unwrap();
    Network::new(architecture(model), TASK, &spec, Store::fresh(3), DType::F64, &Device::Cpu).unwrap()
}

/// The network of a name that may end in ` with projections`.
fn architecture(model: &str) -> Architecture<'_> {
    match model.strip_suffix(" with projections") {
        None => model.into(),
        Some(name) => Architecture { name, design: Design { shortcut: Shortcut::Projection, ..Design::default() } },
    }
}

fn host(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The loss of a fresh network with the second pass's statistics in a memory of two, so that history matters, with one
/// parameter moved.
fn loss(model: &str, norm: &str, moved: Option<(&str, usize, f64)>) -> (Network, Tensor) {
    let net = network(model, norm);
    net.forward(&batch(3, 1, DType::F64).x, Pass::Train).unwrap();
    if let Some((name, index, by)) = moved {
        let (_, var) = net.parameters().into_iter().find(|(n, _)| n == name).unwrap();
        let mut values = host(var.as_tensor());
        values[index] += by;
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    let two = batch(3, 2, DType::F64);
    let loss = ops::cross_entropy(&net.forward(&two.x, Pass::Train).unwrap(), &two.y, 0.1).unwrap();
    (net, loss)
}

#[test]
fn gradients_of_whole_networks_are_those_of_finite_differences() {
    for (model, norms) in [
        ("mlp", &["mbn"][..]),
        ("lenet", &["bn", "mbn", "gn", "none"]),
        ("plain", &["none"]),
        ("resnet8", &["bn", "mbn", "gn"]),
        ("resnet8 with projections", &["frn"]),
        ("preact-resnet8", &["mbn"]),
        ("preact-resnet8 with projections", &["gn"]),
    ] {
        for norm in norms {
            let (net, value) = loss(model, norm, None);
            let grads = value.backward().unwrap();
            for (name, var) in net.parameters() {
                let grad = host(grads.get(&var).unwrap_or_else(|| panic!("{model} {norm}: no gradient for {name}")));
                let scale = grad.iter().fold(1e-4f64, |m, g| m.max(g.abs()));
                // The entry with the largest gradient, and one in the middle.
                let largest = (0..grad.len()).max_by(|a, b| grad[*a].abs().total_cmp(&grad[*b].abs())).unwrap();
                for index in [largest, grad.len() / 2] {
                    let at = |h: f64| loss(model, norm, Some((&name, index, h))).1.to_scalar::<f64>().unwrap();
                    // Five points; the step stays below the distance to the next ReLU or pooling kink for this data.
                    let h = 1e-6;
                    let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                    let error = (slope - grad[index]).abs() / scale;
                    assert!(error < 1e-6, "{model} {norm} {name}[{index}]: {} vs {slope}", grad[index]);
                }
            }
        }
    }
}

#[test]
fn every_network_runs_with_every_normalizer_on_one_and_three_channels() {
    for (model, shape) in [
        ("mlp", [1, 28, 28]),
        ("lenet", [3, 32, 32]),
        ("resnet8", [1, 28, 28]),
        ("resnet14", [3, 32, 32]),
        ("resnet8 with projections", [3, 32, 32]),
        ("preact-resnet8", [1, 28, 28]),
        ("preact-resnet8 with projections", [3, 15, 17]),
        ("plain", [3, 9, 11]),
        ("vgg11", [1, 28, 28]),
    ] {
        for kind in NORMS.iter().filter(|kind| !(kind.needs_producer && model.starts_with("preact"))) {
            let task = Task { shape, classes: 7 };
            let spec = NormSpec::new(kind.name, &toml::Table::new()).unwrap();
            let net =
                Network::new(architecture(model), task, &spec, Store::fresh(0), DType::F32, &Device::Cpu).unwrap();
            let x = Tensor::ones((2, shape[0], shape[1], shape[2]), DType::F32, &Device::Cpu).unwrap();
            for pass in [Pass::Train, Pass::Eval] {
                match net.forward(&x, pass) {
                    Ok(y) => assert_eq!(y.dims(), [2, 7], "{model} {}", kind.name),
                    // Fully connected layers, maps of 1x1.
                    Err(error) => assert!(kind.name == "in" && is_undefined(&error), "{model} {}: {error}", kind.name),
                }
            }
            assert!(!net.norms().is_empty());
        }
    }
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let count = |model: &str, shape| {
        let spec = NormSpec::new("bn", &toml::Table::new()).unwrap();
        let task = Task { shape, classes: 10 };
        let model = architecture(model);
        Network::new(model, task, &spec, Store::fresh(0), DType::F32, &Device::Cpu).unwrap().parameter_count()
    };
    // He et al., table 6: 0.27M, 0.46M, 1.7M.
    assert_eq!(count("resnet20", [3, 32, 32]), 269_722);
    assert_eq!(count("resnet32", [3, 32, 32]), 464_154);
    assert_eq!(count("resnet110", [3, 32, 32]), 1_727_962);
    // Two projections with their scales and shifts more.
    assert_eq!(count("resnet20 with projections", [3, 32, 32]), 269_722 + 16 * 32 + 64 + 32 * 64 + 128);
    assert_eq!(count("preact-resnet20", [3, 32, 32]), 269_722);
    assert_eq!(count("plain", [3, 32, 32]), 27 * 64 + 64 + 4 * (9 * 64 * 64 + 64 + 128) + 650);
    assert_eq!(count("lenet", [1, 28, 28]), 20 * 25 + 40 + 50 * 20 * 25 + 100 + 800 * 500 + 1000 + 5010);
}

#[test]
fn cross_iteration_normalization_follows_a_bias_as_it_follows_weights() {
    let spec = NormSpec::new("cbn", &toml::toml! { size = 1 warmup = 0.0 }).unwrap();
    let net = Network::new("plain", TASK, &spec, Store::fresh(0), DType::F64, &Device::Cpu).unwrap();
    let x = batch(3, 1, DType::F64).x;
    net.forward(&x, Pass::Train).unwrap();
    let (_, bias) = net.parameters().into_iter().find(|(name, _)| name == "conv2.bias").unwrap();
    let moved = 0.01;
    bias.set(&(bias.as_tensor() + moved).unwrap()).unwrap();
    net.forward(&x, Pass::Train).unwrap();
    let seen = net.norms()[0].norm.observed().unwrap();
    // On the same images the older mean, moved, is the present one; of the mean square, moved² is missing.
    let [batch, used] = [&seen.batch, &seen.used].map(|moments| (host(&moments.mean), host(&moments.var)));
    for c in 0..64 {
        assert!((used.0[c] - batch.0[c]).abs() < 1e-12, "{} {}", used.0[c], batch.0[c]);
        assert!((used.1[c] - batch.1[c] + moved * moved / 2.0).abs() < 1e-12, "{} {}", used.1[c], batch.1[c]);
    }
}

#[test]
fn a_normalizer_without_its_place_is_refused_with_its_layer() {
    let spec = NormSpec::new("cbn", &toml::Table::new()).unwrap();
    let made = Network::new("preact-resnet8", TASK, &spec, Store::fresh(0), DType::F32, &Device::Cpu);
    let message = made.err().unwrap().to_string();
    assert!(message.contains("layer1.0.bn1") && message.contains("`cbn`"), "{message}");
}

/// The network with that design, its tensors from `store`.
fn designed(name: &str, norm: &str, design: Design, store: Store) -> Network {
    let spec = NormSpec::new(norm, &toml::Table::new()).unwrap();
    Network::new(Architecture { name, design }, TASK, &spec, store, DType::F64, &Device::Cpu).unwrap()
}

#[test]
fn with_zero_init_residual_blocks_begin_as_their_shortcuts_whatever_the_normalizer() {
    let design = Design { zero_init_residual: true, ..Design::default() };
    for kind in NORMS {
        let cases = [("resnet8", "bn2.weight"), ("preact-resnet8", "conv2.weight")];
        for (name, zero) in cases.into_iter().filter(|(name, _)| !(kind.needs_producer && name.starts_with("pre"))) {
            let net = designed(name, kind.name, design, Store::fresh(0));
            let x = batch(3, 1, DType::F64).x;
            let logits = host(&net.forward(&x, Pass::Batch).unwrap());
            let zeros: Vec<_> = net.parameters().into_iter().filter(|(name, _)| name.ends_with(zero)).collect();
            assert_eq!(zeros.len(), 3);
            assert!(zeros.iter().all(|(_, var)| host(var).iter().all(|v| *v == 0.0)), "{name} {}", kind.name);
            // What the branches do does not matter.
            for (name, var) in net.parameters() {
                if name.starts_with("layer") && name.ends_with("conv1.weight") {
                    var.set(&(var.as_tensor() * -2.0).unwrap()).unwrap();
                }
            }
            assert_eq!(host(&net.forward(&x, Pass::Batch).unwrap()), logits, "{name} {}", kind.name);
            // They learn nevertheless, and a checkpoint's values are taken as they are.
            let loss = ops::cross_entropy(&net.forward(&x, Pass::Train).unwrap(), &batch(3, 1, DType::F64).y, 0.0);
            let gradients = loss.unwrap().backward().unwrap();
            assert!(zeros.iter().all(|(_, var)| host(gradients.get(var).unwrap()).iter().any(|g| *g != 0.0)));
            zeros.iter().for_each(|(_, var)| var.set(&var.ones_like().unwrap()).unwrap());
            let again = designed(name, kind.name, design, Store::from_tensors(net.tensors()));
            let ones = again.parameters().into_iter().filter(|(name, _)| name.ends_with(zero));
            assert!(ones.into_iter().all(|(_, var)| host(&var).iter().all(|v| *v == 1.0)));
        }
    }
}

#[test]
fn the_initialization_torch_is_pytorchs_default() {
    let net = designed("plain", "bn", Design { init: Initialization::Torch, ..Design::default() }, Store::fresh(0));
    for (name, var) in net.parameters().into_iter().filter(|(name, _)| !name.starts_with("bn")) {
        let fan_in = match &name[..] {
            "conv1.weight" | "conv1.bias" => 9,
            "fc.weight" | "fc.bias" => 64,
            _ => 9 * 64,
        };
        let (bound, values) = (1.0 / f64::from(fan_in).sqrt(), host(&var));
        assert!(values.iter().all(|v| v.abs() <= bound), "{name}");
        // Uniform: a standard deviation of bound/sqrt(3), as exactly as so many values tell.
        let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        let off = (variance / (bound * bound / 3.0) - 1.0).abs();
        assert!(off < 4.0 / (values.len() as f64).sqrt(), "{name}: {variance}");
    }
    let plain = designed("plain", "bn", Design::default(), Store::fresh(0));
    let bias = plain.parameters().into_iter().find(|(name, _)| name == "conv1.bias").unwrap().1;
    assert!(host(&bias).iter().all(|v| *v == 0.0));
}

#[test]
fn only_training_s_passes_keep_a_graph() {
    for kind in NORMS {
        let net = network(if kind.name == "in" { "resnet8" } else { "lenet" }, kind.name);
        let x = batch(3, 1, DType::F64).x;
        assert!(net.forward(&x, Pass::Train).unwrap().track_op());
        assert!(net.forward(&x, Pass::Frozen).unwrap().track_op());
        for pass in [Pass::Probe, Pass::Eval, Pass::Weighed { weight: 0.5 }, Pass::Observe, Pass::Batch] {
            assert!(!net.forward(&x, pass).unwrap().track_op(), "{} {pass:?}", kind.name);
        }
    }
}

#[test]
fn unknown_networks_are_refused_with_the_closest_name() {
    let message = |name: &str| mbn::model::check(name).unwrap_err().to_string();
    assert!(message("lenett").contains("did you mean `lenet`?"));
    assert!(message("resnet21").contains("6n+2"));
    assert!(message("vgg12").contains("vgg11"));
    for name in
        ["", "resnet", "resnet2", "resnet99999999999999999999", "vgg", "lenet5", "20", "plain5", "preact-resnet9"]
    {
        assert!(mbn::model::check(name).is_err(), "{name}");
    }
    for name in ["mlp", "LeNet", "plain", "resnet8", "resnet110", "preact-resnet20", "vgg16"] {
        mbn::model::check(name).unwrap();
    }
}

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
            // One value per channel behind LeNet's fully connected layer.
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
    // The refreshed slot of the first layer is what a batch-statistics pass under the present weights sees.
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
