//! Every network of the table: names, shapes, parameters, normalizers.

use candle_core::{DType, Device, Tensor};
use mbn::model::{Network, Store, Task};
use mbn::norm::{NORMS, NormSpec, Pass, is_undefined};

use crate::support::{TASK, architecture, batch, host};

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
                    // Fully connected layers, 1x1 feature maps.
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
    // Two projections with scales and shifts in addition.
    assert_eq!(count("resnet20 with projections", [3, 32, 32]), 269_722 + 16 * 32 + 64 + 32 * 64 + 128);
    assert_eq!(count("preact-resnet20", [3, 32, 32]), 269_722);
    assert_eq!(count("plain", [3, 32, 32]), 27 * 64 + 64 + 4 * (9 * 64 * 64 + 64 + 128) + 650);
    assert_eq!(count("lenet", [1, 28, 28]), 20 * 25 + 40 + 50 * 20 * 25 + 100 + 800 * 500 + 1000 + 5010);
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

#[test]
fn a_normalizer_without_its_place_is_refused_with_its_layer() {
    let spec = NormSpec::new("cbn", &toml::Table::new()).unwrap();
    let made = Network::new("preact-resnet8", TASK, &spec, Store::fresh(0), DType::F32, &Device::Cpu);
    let message = made.err().unwrap().to_string();
    assert!(message.contains("layer1.0.bn1") && message.contains("`cbn`"), "{message}");
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
