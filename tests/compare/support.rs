//! Fabricated run folders, and the program run on them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub const HEADER: &str = "run,dataset,model,norm,double_forward,batch_size,norm_batch_size,seed,epoch,step,split,stats,\
                          loss,accuracy,lr,images_per_s,seconds";

/// A run whose scores are known: test accuracy ends at `accuracy`, test loss at `1 - accuracy`.
#[derive(Clone)]
pub struct FakeRun {
    pub norm: &'static str,
    pub double_forward: bool,
    pub batch_size: usize,
    pub norm_batch_size: usize,
    pub seed: u64,
    pub epochs: usize,
    /// Epochs that have rows.
    pub reached: usize,
    pub accuracy: f64,
    pub status: Option<&'static str>,
    /// Further lines of `config.toml`.
    pub settings: &'static str,
    pub model: &'static str,
}

impl FakeRun {
    pub fn new(norm: &'static str, batch_size: usize, seed: u64, accuracy: f64) -> Self {
        Self {
            norm,
            double_forward: false,
            batch_size,
            norm_batch_size: batch_size,
            seed,
            epochs: 3,
            reached: 3,
            accuracy,
            status: Some("done"),
            settings: "",
            model: "lenet",
        }
    }

    pub fn name(&self) -> String {
        let df = if self.double_forward { "-df" } else { "" };
        let mark = self.settings.len() + self.epochs * 100;
        format!("digits-{}-{}{df}-b{}-s{}-{mark:08}", self.model, self.norm, self.batch_size, self.seed)
    }

    fn rule(&self) -> &'static str {
        match self.norm {
            "bn" => "ema",
            "mbn" => "memory",
            _ => "sample",
        }
    }

    /// The rows of an epoch: train, test under the method's own rule, test under batch statistics (0.01 above).
    pub fn rows(&self, epoch: usize) -> String {
        // Better in the middle than at the end, so that the best epoch is not the last one.
        let accuracy = self.accuracy + if epoch == self.epochs { 0.0 } else { 0.05 / epoch as f64 };
        let Self { norm, double_forward, batch_size, norm_batch_size, seed, model, .. } = self;
        let (name, rule, step) = (self.name(), self.rule(), epoch * 10);
        let row = |split: &str, stats: &str, accuracy: f64| {
            let accuracy = accuracy.min(1.0);
            format!(
                "{name},digits,{model},{norm},{double_forward},{batch_size},{norm_batch_size},{seed},{epoch},{step},{split},{stats},\
                 {},{accuracy},0.01,{},{}\n",
                1.0 - accuracy,
                100 * batch_size,
                epoch as f64 * 1.5
            )
        };
        let batch = if rule == "sample" { String::new() } else { row("test", "batch", accuracy + 0.01) };
        row("train", rule, accuracy + 0.02) + &row("test", rule, accuracy) + &batch
    }

    pub fn metrics(&self) -> String {
        let rows: String = (1..=self.reached).map(|epoch| self.rows(epoch)).collect();
        format!("{HEADER}\n{rows}")
    }

    pub fn config(&self) -> String {
        let Self { norm, double_forward, batch_size, norm_batch_size, seed, epochs, settings, model, .. } = self;
        format!(
            "dataset = \"digits\"\nmodel = \"{model}\"\nnorm = \"{norm}\"\ndouble_forward = {double_forward}\nbatch_size = {batch_size}\n\
             norm_batch_size = {norm_batch_size}\nseed = {seed}\nepochs = {epochs}\nlr = 0.1\n{settings}\n"
        )
    }

    /// `summary.json`, which has no configuration of its own: that is in `config.toml`.
    pub fn summary(&self) -> Option<String> {
        let (status, name, rule) = (self.status?, self.name(), self.rule());
        let results = if status == "done" {
            let loss = 1.0 - self.accuracy;
            let own =
                format!("{{\"split\":\"test\",\"stats\":\"{rule}\",\"loss\":{loss},\"accuracy\":{}}}", self.accuracy);
            let batch = format!(
                "{{\"split\":\"test\",\"stats\":\"batch\",\"loss\":{loss},\"accuracy\":{}}}",
                self.accuracy + 0.01
            );
            if rule == "sample" { own } else { format!("{own},{batch}") }
        } else {
            String::new()
        };
        let reached = self.reached;
        Some(format!(
            "{{\"run\":\"{name}\",\"status\":\"{status}\",\"epochs\":{reached},\"results\":[{results}],\"seconds\":4.5,\
             \"images_per_s\":{},\"peak_memory_mib\":64.5,\"device\":\"cpu\",\"threads\":1}}",
            100 * self.batch_size
        ))
    }

    /// Writes the run's folder into `runs`.
    pub fn write(&self, runs: &Path) -> PathBuf {
        let dir = runs.join(self.name());
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.toml"), self.config()).unwrap();
        fs::write(dir.join("metrics.csv"), self.metrics()).unwrap();
        if let Some(summary) = self.summary() {
            fs::write(dir.join("summary.json"), summary).unwrap();
        }
        dir
    }
}

/// Three seeds of `bn` and `mbn` at batch size 4.
pub fn six() -> Vec<FakeRun> {
    (0..3)
        .flat_map(|seed| [FakeRun::new("bn", 4, seed, 0.5 + 0.1 * seed as f64), FakeRun::new("mbn", 4, seed, 0.9)])
        .collect()
}

/// The rows of all runs under one header.
pub fn one_csv() -> String {
    let rows: String = six().iter().map(|run| run.metrics().replace(&format!("{HEADER}\n"), "")).collect();
    format!("{HEADER}\n{rows}")
}

/// A file `all.csv` with this text, and its folder.
pub fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.csv");
    fs::write(&path, text).unwrap();
    (dir, path)
}

/// The program's output.
pub struct ProgramOutput {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl ProgramOutput {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The row of the first table that begins with these cells.
    #[track_caller]
    pub fn row(&self, batch: &str, method: &str) -> Vec<String> {
        let rows = self.out.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()));
        let mut rows = rows.map(|cells| cells.map(String::from).collect::<Vec<_>>());
        let found = rows.find(|row| row.len() > 2 && row[0] == batch && row[1] == method);
        found.unwrap_or_else(|| panic!("no row {batch} {method} in\n{}{}", self.out, self.err))
    }

    #[track_caller]
    pub fn warns(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is not in:\n{}", self.err);
        }
    }
}

pub fn compare(paths: &[&Path], args: &[&str]) -> ProgramOutput {
    ProgramOutput::of(Command::new(env!("CARGO_BIN_EXE_mbn")).arg("compare").args(paths).args(args).output().unwrap())
}

/// The comparison of a CSV file on standard input.
pub fn compare_piped(path: &str, text: &str) -> ProgramOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    let command = command.args(["compare", path]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    ProgramOutput::of(child.wait_with_output().unwrap())
}

/// The comparison as JSON.
#[track_caller]
pub fn json(paths: &[&Path], args: &[&str]) -> serde_json::Value {
    let said = compare(paths, &[&["--json"], args].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

/// A cell of the JSON document's first section.
#[track_caller]
pub fn cell<'a>(json: &'a serde_json::Value, metric: &str, x: usize, label: &str) -> &'a serde_json::Value {
    entry(json, "cells", metric, x, label).unwrap_or_else(|| panic!("no {metric} of {label} at {x} in {json:#}"))
}

/// An entry of `cells` or `pairs`.
pub fn entry<'a>(
    json: &'a serde_json::Value,
    list: &str,
    metric: &str,
    x: usize,
    label: &str,
) -> Option<&'a serde_json::Value> {
    let tables = json["sections"][0]["tables"].as_array()?;
    let table = tables.iter().find(|table| table["metric"] == metric)?;
    table[list].as_array()?.iter().find(|cell| cell["x"] == x && cell["label"] == label)
}

#[track_caller]
pub fn near(value: &serde_json::Value, wanted: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!((value - wanted).abs() <= 1e-9 * wanted.abs().max(1.0), "{value} is not {wanted}");
}
