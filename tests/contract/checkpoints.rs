//! Tensor names, and checkpoints from and for PyTorch.

use std::collections::{BTreeMap, HashMap};
use std::process::Output;

use candle_core::{DType, Device, Tensor};
use mbn::norm::{Role, role};

use crate::support::{failed, mbn, shapes, trained};

#[test]
fn the_best_checkpoint_is_kept_where_there_is_a_validation_split_and_evaluates_like_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let plain = trained(dir.path(), &["--model", "mlp", "--batch-size", "8"]);
    assert!(!plain.join("best.safetensors").exists());
    let run = trained(dir.path(), &["--model", "mlp", "--batch-size", "8", "--val-fraction", "0.01"]);
    let (best, last) = (shapes(&run.join("best.safetensors")), shapes(&run.join("last.safetensors")));
    let inference = |name: &str| !name.starts_with("train.");
    assert!(best.keys().all(|name| inference(name)));
    assert_eq!(best, last.into_iter().filter(|(name, _)| inference(name)).collect());
    // After a single epoch the last is the best.
    let eval = |file: &str| {
        let output = mbn(dir.path(), &["eval", run.join(file).to_str().unwrap(), "--split", "val", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["loss"].as_f64().unwrap()
    };
    assert_eq!(eval("best.safetensors"), eval("last.safetensors"));
}

#[test]
fn checkpoints_have_pytorch_s_names_whatever_the_normalizer_and_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let norm = |name: &str| ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"));
    let mut lenet: Vec<String> = ["bn1", "bn2", "bn3"].iter().flat_map(|name| norm(name)).collect();
    lenet.extend(["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight", "fc2.bias"].map(String::from));
    lenet.sort();
    let ours = |name: &str| name.starts_with("train.") || role(name) == Some(Role::Training);
    let mut all = vec![];
    for args in [["--norm", "bn", "--batch-size", "2"], ["--norm", "mbn", "--batch-size", "8"]] {
        let found = shapes(&trained(dir.path(), &args).join("last.safetensors"));
        let pytorch: BTreeMap<_, _> = found.into_iter().filter(|(name, _)| !ours(name)).collect();
        assert_eq!(pytorch.keys().cloned().collect::<Vec<_>>(), lenet, "{args:?}");
        all.push(pytorch);
    }
    assert_eq!(all[0], all[1]);
    let found = shapes(&trained(dir.path(), &["--model", "resnet8", "--batch-size", "8"]).join("last.safetensors"));
    for name in ["conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer3.0.bn2.bias", "fc.weight"] {
        assert!(found.contains_key(name), "{name} is not in {found:?}");
    }
}

#[test]
fn a_checkpoint_of_pytorch_s_is_evaluated_and_one_of_another_network_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = trained(dir.path(), &["--model", "resnet14", "--norm", "bn", "--batch-size", "8"]);
    let eval = |args: &[&str]| mbn(dir.path(), &[&["eval", "--json"], args].concat());
    let loss = |output: &Output| {
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["loss"].as_f64().unwrap()
    };
    let own = loss(&eval(&[run.to_str().unwrap()]));
    // As in PyTorch's state_dict: no metadata, a count of batches per normalizer.
    let all = candle_core::safetensors::load(run.join("last.safetensors"), &Device::Cpu).unwrap();
    let mut tensors: HashMap<String, Tensor> = all.into_iter().filter(|(n, _)| !n.starts_with("train.")).collect();
    for name in tensors.keys().cloned().collect::<Vec<_>>() {
        if let Some(layer) = name.strip_suffix("running_mean") {
            let count = Tensor::zeros((), DType::I64, &Device::Cpu).unwrap();
            tensors.insert(format!("{layer}num_batches_tracked"), count);
        }
    }
    let file = dir.path().join("resnet.safetensors");
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let file = file.to_str().unwrap();
    failed(&eval(&[file]), 2, &["resnet.safetensors", "--model"]);
    let output = eval(&[file, "--dataset", "digits", "--model", "resnet14", "--norm", "bn", "--test-limit", "20"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(loss(&output), own);
    let wider = eval(&[
        file,
        "--dataset",
        "digits",
        "--model",
        "resnet14",
        "--norm",
        "bn",
        "--test-limit",
        "20",
        "--set",
        "bn.eps=0.5",
    ]);
    assert_ne!(loss(&wider), own);
    // The first tensors of a deeper network are those of a shallower one.
    failed(
        &eval(&[file, "--dataset", "digits", "--model", "resnet8", "--norm", "bn"]),
        1,
        &["layer1.1.bn1.bias", "resnet8"],
    );
    failed(&eval(&[file, "--dataset", "digits", "--model", "resnet20", "--norm", "bn"]), 1, &["layer1.2.", "missing"]);
    failed(
        &eval(&[file, "--dataset", "digits", "--model", "resnet14", "--norm", "gn"]),
        1,
        &["bn1.running_mean", "gn"],
    );
    failed(
        &eval(&[file, "--dataset", "digits", "--model", "resnet14", "--norm", "bn", "--stats", "memory"]),
        2,
        &["no memory"],
    );
    failed(
        &eval(&[file, "--dataset", "digits", "--model", "resnet14", "--norm", "bn", "--batch-size", "4"]),
        2,
        &["--stats batch"],
    );
}
