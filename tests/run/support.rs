//! A small run that uses every kind of state, the program that makes it, and its records.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A small run with everything a checkpoint has to carry: memories, momentum, Double-Forward, micro-batches,
/// augmentation, a validation split, diagnostics.
pub const SMALL: &[&str] = &[
    "train",
    "--dataset",
    "digits",
    "--model",
    "mlp",
    "--norm",
    "mbn",
    "--double-forward",
    "--batch-size",
    "8",
    "--norm-batch-size",
    "4",
    "--epochs",
    "3",
    "--val-fraction",
    "0.5",
    "--train-limit",
    "1200",
    "--augment",
    "--freeze-epochs",
    "1",
    "--diagnostics",
    "--precise",
    "--weighing",
    "--evalnorm",
    "--set",
    "test_limit=300",
    "--set",
    "diagnostics_every=40",
    "--set",
    "precise_examples=200",
    "--schedule",
    "cosine",
    "--checkpoint-every",
    "0.02",
];

pub fn mbn(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir).args(args).stdin(Stdio::null()).env_remove("MBN_DATA_DIR");
    command
}

pub fn output(dir: &Path, args: &[&str]) -> Output {
    mbn(dir, args).output().unwrap()
}

#[track_caller]
pub fn succeed(dir: &Path, args: &[&str]) -> String {
    let out = output(dir, args);
    assert!(out.status.success(), "{args:?}: {:?}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

pub fn only_run(dir: &Path) -> PathBuf {
    let runs: Vec<_> = std::fs::read_dir(dir.join("results/runs")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

/// A file of the only run, as soon as there is one.
pub fn run_file(dir: &Path, name: &str) -> Option<PathBuf> {
    let run = std::fs::read_dir(dir.join("results/runs")).ok()?.next()?.ok()?;
    Some(run.path().join(name))
}

/// A CSV without its time columns.
pub fn numbers(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let timed = |i: usize| matches!(&header[i], "images_per_s" | "seconds");
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        row.iter().enumerate().filter(|(i, _)| !timed(*i)).map(|(_, cell)| cell.to_string()).collect()
    });
    rows.collect()
}

pub fn records(dir: &Path) -> [Vec<Vec<String>>; 2] {
    let run = only_run(dir);
    [numbers(&run.join("metrics.csv")), numbers(&run.join("diagnostics.csv"))]
}
