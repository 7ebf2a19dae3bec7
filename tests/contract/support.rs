//! Runs that take seconds, their rows and their tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::Device;

pub const COLUMNS: &str = "run,dataset,model,norm,double_forward,batch_size,norm_batch_size,seed,epoch,step,split,stats,\
                       loss,accuracy,lr,images_per_s,seconds";

pub fn mbn(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir).args(args).env_remove("MBN_DATA_DIR").output().unwrap()
}

/// A run that takes seconds; its folder.
#[track_caller]
pub fn trained(dir: &Path, args: &[&str]) -> PathBuf {
    let output = train(dir, args);
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {messages}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    dir.join("results/runs").join(json["run"].as_str().unwrap())
}

pub fn train(dir: &Path, args: &[&str]) -> Output {
    let small = ["train", "--json", "--epochs", "1", "--train-limit", "32", "--test-limit", "20"];
    mbn(dir, &[&small, args].concat())
}

/// Exit code and message of what went wrong.
#[track_caller]
pub fn failed(output: &Output, code: i32, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// Names and shapes in a checkpoint.
pub fn shapes(path: &Path) -> BTreeMap<String, Vec<usize>> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    tensors.into_iter().map(|(name, tensor)| (name, tensor.dims().to_vec())).collect()
}

/// `split stats` of every row of metrics.csv, with the loss's cell.
pub fn rows(run: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    assert_eq!(text.lines().next(), Some(COLUMNS));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), COLUMNS.split(',').count(), "{line}");
        (format!("{} {}", cells[10], cells[11]), cells[12].to_string())
    };
    text.lines().skip(1).map(row).collect()
}
