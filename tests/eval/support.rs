//! A small run, and checkpoints of its tensors as other programs would write them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use candle_core::{Device, Tensor};

pub type Tensors = HashMap<String, Tensor>;

/// Settings that describe the foreign checkpoints.
pub const DESCRIBED: [&str; 6] = ["--dataset", "digits", "--model", "mlp", "--norm", "bn"];

pub fn mbn(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir).args(args).stdin(Stdio::null()).env_remove("MBN_DATA_DIR");
    command.output().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The folder of a trained `mlp` with `bn` that set validation images aside; made once for all tests.
pub fn run() -> &'static Path {
    static RUN: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let small = ["--epochs", "1", "--train-limit", "640", "--val-fraction", "0.1", "--test-limit", "200"];
        let out =
            mbn(dir.path(), &[&["train", "--model", "mlp", "--norm", "bn", "--out", "runs"], &small[..]].concat());
        assert!(out.status.success(), "{}", stderr(&out));
        let run = std::fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
        (dir, run)
    };
    &RUN.get_or_init(make).1
}

/// The tensors that another program's checkpoint of the same network has.
pub fn tensors() -> Tensors {
    let all = candle_core::safetensors::load(run().join("last.safetensors"), &Device::Cpu).unwrap();
    all.into_iter().filter(|(name, _)| !name.starts_with("train.")).collect()
}

/// Writes them, with those metadata.
pub fn write(path: &Path, tensors: &Tensors, metadata: &[(&str, &str)]) {
    let metadata: HashMap<String, String> = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    std::fs::write(path, safetensors::serialize(tensors, metadata).unwrap()).unwrap();
}

/// The report of an evaluation that succeeds, and its messages.
#[track_caller]
pub fn report(args: &[&str]) -> (serde_json::Value, String) {
    let out = mbn(Path::new("."), &[&["eval", "--json"], args].concat());
    assert!(out.status.success(), "{args:?}: {}", stderr(&out));
    (serde_json::from_slice(&out.stdout).unwrap(), stderr(&out))
}

/// An evaluation that ends with that exit code, nothing on stdout, and a message with `parts`.
#[track_caller]
pub fn refused(code: i32, args: &[&str], parts: &[&str]) {
    let out = mbn(Path::new("."), &[&["eval"], args].concat());
    let message = stderr(&out);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {message}");
    assert!(out.stdout.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&out.stdout));
    for part in parts {
        assert!(message.contains(part), "{args:?}: `{part}` is not in: {message}");
    }
}

/// Evaluates a checkpoint file with those tensors and metadata, with the further arguments `more`.
pub struct ForeignCheckpoint(tempfile::TempDir);

impl ForeignCheckpoint {
    pub fn new(tensors: &Tensors, metadata: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("net.safetensors"), tensors, metadata);
        Self(dir)
    }

    fn args<'a>(path: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&[path], &DESCRIBED[..], more].concat()
    }

    pub fn path(&self) -> String {
        self.0.path().join("net.safetensors").display().to_string()
    }

    #[track_caller]
    pub fn report(&self, more: &[&str]) -> (serde_json::Value, String) {
        report(&Self::args(&self.path(), more))
    }

    #[track_caller]
    pub fn refused(&self, code: i32, more: &[&str], parts: &[&str]) {
        refused(code, &Self::args(&self.path(), more), parts);
    }
}
