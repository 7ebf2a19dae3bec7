//! `summary.json`: how a run ended.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};
use toml::Table;

use super::{LayerSpread, MetricRow, Split, Stats, atomic};
use crate::config::Config;
use crate::{Error, Result};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Trained to the end.
    Done,
    /// Became non-finite.
    Diverged,
    /// Stopped by an error.
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Done => "done",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        })
    }
}

/// Where a run became non-finite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// The update, from 1.
    pub step: usize,
    /// The first tensor found that is not finite, or the loss.
    pub tensor: String,
}

/// The last epoch's score on one split under one kind of statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SplitScore {
    /// Split that was scored.
    pub split: Split,
    /// Statistics that normalized.
    pub stats: Stats,
    /// Mean cross-entropy in nats.
    pub loss: Option<f64>,
    /// Fraction of images classified correctly, 0 to 1.
    pub accuracy: Option<f64>,
}

/// The results of a run that is over. A summary written by another version may lack fields, which are then empty, or have
/// more, which are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run's name.
    pub run: String,
    /// How it ended.
    pub status: Status,
    /// Where it became non-finite, if it did.
    pub diverged: Option<Divergence>,
    /// The error that stopped it, if one did.
    pub error: Option<String>,
    /// Epochs completed.
    #[serde(default)]
    pub epochs: usize,
    /// Updates made by the end of the last completed epoch.
    #[serde(default)]
    pub steps: usize,
    /// Scores of the last completed epoch.
    #[serde(default, deserialize_with = "known_scores")]
    pub results: Vec<SplitScore>,
    /// Test accuracy under batch statistics minus that under the method's own rule, where both were measured.
    pub gap: Option<f64>,
    /// Symmetric divergence (nats) of batch statistics under an update, where it was measured: the median of the layers'
    /// medians.
    pub shift: Option<f64>,
    /// The same, layer by layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shift_by_layer: Vec<LayerSpread>,
    /// Number of the network's parameters.
    #[serde(default)]
    pub parameters: usize,
    /// Seconds the run took, excluding interruptions.
    #[serde(default)]
    pub seconds: f64,
    /// Training images per second in the last epoch, excluding evaluation.
    pub images_per_s: Option<f64>,
    /// Peak resident memory of the process in MiB, where the system reports it.
    pub peak_memory_mib: Option<f64>,
    /// Device, as in the configuration.
    #[serde(default)]
    pub device: String,
    /// CPU threads.
    #[serde(default)]
    pub threads: usize,
    /// Version of this package.
    #[serde(default)]
    pub version: String,
    /// Commit it was built from, if it was built in a checkout; the last one, where several worked on the run.
    pub commit: Option<String>,
    /// The commits whose builds worked on the run, in order, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub git_commits: Vec<String>,
    /// The resolved configuration.
    #[serde(default)]
    pub config: Table,
}

impl Summary {
    /// The summary of a run from its rows: `diverged` with step and tensor, `shift` where measured, `seconds` in all,
    /// and the network's number of `parameters`.
    ///
    /// # Errors
    /// The configuration cannot be written as TOML; a resolved one can.
    pub fn new(
        config: &Config,
        rows: &[MetricRow],
        diverged: Option<(usize, String)>,
        shift: Option<f64>,
        seconds: f64,
        parameters: usize,
    ) -> Result<Self> {
        let epochs = rows.last().map_or(0, |row| row.epoch);
        let last = || rows.iter().filter(|row| row.epoch == epochs);
        Ok(Self {
            run: config.run_name()?,
            status: if diverged.is_some() { Status::Diverged } else { Status::Done },
            error: None,
            diverged: diverged.map(|(step, tensor)| Divergence { step, tensor }),
            epochs,
            steps: rows.last().map_or(0, |row| row.step),
            results: last().map(SplitScore::from).collect(),
            gap: gap(last()),
            shift,
            shift_by_layer: vec![],
            parameters,
            seconds,
            images_per_s: last().find(|row| row.split == Split::Train).and_then(|row| row.images_per_s),
            peak_memory_mib: peak_memory_mib(),
            device: config.device.clone(),
            threads: rayon::current_num_threads(),
            version: env!("CARGO_PKG_VERSION").into(),
            commit: commit().map(str::to_string),
            git_commits: vec![],
            config: config.to_table()?,
        })
    }

    /// The same summary with its shifts, layer by layer.
    pub fn with_shifts(self, layers: Vec<LayerSpread>) -> Self {
        Self { shift_by_layer: layers, ..self }
    }

    /// The same summary, of a run that builds of these commits worked on.
    pub fn with_commits(self, commits: &[String]) -> Self {
        Self { git_commits: if commits.len() > 1 { commits.to_vec() } else { vec![] }, ..self }
    }

    /// The same summary, of a run stopped by an error.
    pub fn failed(self, reason: impl Into<String>) -> Self {
        Self { status: Status::Failed, error: Some(reason.into()), ..self }
    }

    /// Writes the summary to `path`, atomically.
    ///
    /// # Errors
    /// I/O errors.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).map_err(|e| Error::io(path)(e.into()))?;
        atomic::write(path, format!("{json}\n").as_bytes())
    }
}

/// The commit that this program was built from, `-dirty` where files differed from it; none if it was not built in a checkout.
pub fn commit() -> Option<&'static str> {
    option_env!("MBN_COMMIT")
}

impl From<&MetricRow> for SplitScore {
    fn from(row: &MetricRow) -> Self {
        Self { split: row.split, stats: row.stats, loss: row.loss, accuracy: row.accuracy }
    }
}

/// Scores on splits and under statistics that this version knows; others are left out.
fn known_scores<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<SplitScore>, D::Error> {
    #[derive(Deserialize)]
    struct Named {
        split: String,
        stats: String,
        loss: Option<f64>,
        accuracy: Option<f64>,
    }
    let known = |Named { split, stats, loss, accuracy }: Named| {
        Some(SplitScore { split: split.parse().ok()?, stats: stats.parse().ok()?, loss, accuracy })
    };
    Ok(Vec::<Named>::deserialize(deserializer)?.into_iter().filter_map(known).collect())
}

/// The train/inference gap on the test images: batch statistics against the method's own rule, whose row comes first.
fn gap<'a>(rows: impl Iterator<Item = &'a MetricRow>) -> Option<f64> {
    let test: Vec<_> = rows.filter(|row| row.split == Split::Test).collect();
    let batch = test.iter().find(|row| row.stats == Stats::Batch)?.accuracy?;
    let own = test.iter().find(|row| !row.stats.is_extra())?.accuracy?;
    Some(batch - own)
}

/// The summary in the run folder `dir`, if that run is over and need not be run again: finished or diverged.
///
/// # Errors
/// As [`read_summary`].
pub fn read_finished(dir: &Path) -> Result<Option<Summary>> {
    Ok(read_summary(dir)?.filter(|summary| summary.status != Status::Failed))
}

/// The summary in the run folder `dir`, if there is one.
///
/// # Errors
/// There is a summary, but it cannot be read.
pub fn read_summary(dir: &Path) -> Result<Option<Summary>> {
    let path = dir.join("summary.json");
    let text = match fs::read_to_string(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        text => text.map_err(Error::io(&path))?,
    };
    serde_json::from_str(&text).map(Some).map_err(|e| {
        Error::data(&path, format!("not a summary: {e}; `mbn train --fresh` discards the run and starts over"))
    })
}

/// Peak resident memory of the process so far in MiB (Linux's `VmHWM`).
pub fn peak_memory_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
