//! What scripts rely on: files, columns, tensor names, and what the program refuses.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::{DType, Device, Tensor};
use mbn::norm::{Role, role};
use mbn::record::RunDir;

const COLUMNS: &str = "run,dataset,model,norm,double_forward,batch_size,norm_batch_size,seed,epoch,step,split,stats,\
                       loss,accuracy,lr,images_per_s,seconds";

fn mbn(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir).args(args).env_remove("MBN_DATA_DIR").output().unwrap()
}

/// A run of seconds; its folder.
#[track_caller]
fn trained(dir: &Path, args: &[&str]) -> PathBuf {
    let output = train(dir, args);
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {messages}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    dir.join("results/runs").join(json["run"].as_str().unwrap())
}

fn train(dir: &Path, args: &[&str]) -> Output {
    let small = ["train", "--json", "--epochs", "1", "--train-limit", "32", "--test-limit", "20"];
    mbn(dir, &[&small, args].concat())
}

/// Exit code and message of what went wrong.
#[track_caller]
fn failed(output: &Output, code: i32, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// Names and shapes in a checkpoint.
fn shapes(path: &Path) -> BTreeMap<String, Vec<usize>> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    tensors.into_iter().map(|(name, tensor)| (name, tensor.dims().to_vec())).collect()
}

/// `split stats` of every row of metrics.csv, with the loss's cell.
fn rows(run: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    assert_eq!(text.lines().next(), Some(COLUMNS));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), COLUMNS.split(',').count(), "{line}");
        (format!("{} {}", cells[10], cells[11]), cells[12].to_string())
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn every_method_writes_the_rows_of_its_own_rule() {
    let dir = tempfile::tempdir().unwrap();
    for (norm, expected) in [
        ("bn", &["train batch", "val ema", "test ema", "test batch", "test precise"][..]),
        ("mbn", &["train memory", "val memory", "test memory", "test batch", "test precise"]),
        ("gn", &["train sample", "val sample", "test sample"]),
        ("none", &["train sample", "val sample", "test sample"]),
    ] {
        let args = ["--model", "mlp", "--norm", norm, "--batch-size", "8", "--val-fraction", "0.01", "--precise"];
        let found = rows(&trained(dir.path(), &args));
        assert_eq!(found.iter().map(|(row, _)| row.as_str()).collect::<Vec<_>>(), expected, "{norm}");
        assert!(found.iter().all(|(_, loss)| loss.parse::<f64>().is_ok_and(f64::is_finite)), "{norm}: {found:?}");
    }
}

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
fn one_value_per_channel_is_refused_by_bn_and_remembered_by_mbn() {
    let dir = tempfile::tempdir().unwrap();
    for micro in [&["--batch-size", "1"][..], &["--batch-size", "4", "--norm-batch-size", "1"]] {
        let output = train(dir.path(), &[&["--norm", "bn"], micro].concat());
        failed(&output, 1, &["bn3", "one value per channel", "`mbn`", "`gn`"]);
        let output = train(dir.path(), &[&["--norm", "mbn", "--set", "mbn.pool=mean"], micro].concat());
        failed(&output, 1, &["bn3", "pool = \"mean\"", "use pool = \"total\""]);
        let run = trained(dir.path(), &[&["--norm", "mbn", "--double-forward"], micro].concat());
        let found = rows(&run);
        let memory = found.iter().find(|(row, _)| row == "test memory").unwrap();
        assert!(memory.1.parse::<f64>().is_ok());
        // Batch statistics of one value do not exist: the row says so with an empty cell.
        assert!(found.contains(&("test batch".into(), String::new())), "{found:?}");
        let output = mbn(dir.path(), &["eval", run.to_str().unwrap(), "--stats", "batch"]);
        failed(&output, 2, &["one value per channel"]);
    }
}

#[test]
fn a_run_s_own_configuration_is_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--model", "mlp", "--batch-size", "4", "--norm-batch-size", "2", "--set", "mbn.size=3"];
    let run = trained(dir.path(), &args);
    let config = run.join("config.toml");
    let again = mbn(dir.path(), &["train", "--json", "--config", config.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("already finished"));
    let json: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(run, dir.path().join("results/runs").join(json["run"].as_str().unwrap()));
}

#[test]
fn a_run_folder_is_one_process_s() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--model", "mlp", "--batch-size", "8"];
    let run = trained(dir.path(), &args);
    let held = RunDir::create(&run).unwrap();
    failed(
        &train(dir.path(), &[&args[..], &["--fresh"]].concat()),
        1,
        &["another process", "results/runs/digits-mlp-mbn-b8-s0-"],
    );
    assert!(run.join("metrics.csv").exists(), "nothing of the other process's is touched");
    let output = mbn(dir.path(), &["eval", run.to_str().unwrap()]);
    assert!(output.status.success(), "reading is allowed: {}", String::from_utf8_lossy(&output.stderr));
    drop(held);
    trained(dir.path(), &[&args[..], &["--fresh"]].concat());
}

#[test]
fn nothing_to_resume_leaves_nothing_behind_and_lost_rows_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--model", "mlp", "--batch-size", "8"];
    failed(&train(dir.path(), &[&args[..], &["--resume"]].concat()), 1, &["nothing to resume", "leave out --resume"]);
    assert!(!dir.path().join("results").exists());
    let run = trained(dir.path(), &args);
    std::fs::remove_file(run.join("summary.json")).unwrap();
    let metrics = run.join("metrics.csv");
    let text = std::fs::read_to_string(&metrics).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(&metrics, &text[..cut]).unwrap();
    failed(&train(dir.path(), &args), 1, &["metrics.csv", "2 rows", "counts 3", "--fresh"]);
    assert_eq!(std::fs::read_to_string(&metrics).unwrap(), text[..cut], "nothing is overwritten");
    trained(dir.path(), &[&args[..], &["--fresh"]].concat());
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
    // As PyTorch's state_dict has it: no header, a count of batches per normalizer.
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
    failed(&eval(&[file]), 1, &["resnet.safetensors", "--model"]);
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

#[cfg(not(feature = "hub"))]
#[test]
fn without_the_hub_a_missing_data_set_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir.path()).args(["data", "check", "cifar100"]).env_remove("MBN_DATA_DIR");
    failed(&command.env("XDG_CACHE_HOME", dir.path()).output().unwrap(), 1, &["cifar100", "`hub`", "--data-dir"]);
}
