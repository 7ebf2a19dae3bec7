//! `metrics.csv`: one row per epoch, split and kind of statistics.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Split, Stats, read_rows};
use crate::Result;

/// One row of `metrics.csv`; the fields are its columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricRow {
    /// The run's name.
    pub run: String,
    /// Data set.
    pub dataset: String,
    /// Network.
    pub model: String,
    /// Normalizer.
    pub norm: String,
    /// Whether Double-Forward was on.
    pub double_forward: bool,
    /// Images per update.
    pub batch_size: usize,
    /// Images whose statistics are taken together.
    pub norm_batch_size: usize,
    /// Seed.
    pub seed: u64,
    /// Epoch, from 1.
    pub epoch: usize,
    /// Updates made so far.
    pub step: usize,
    /// Split that was scored.
    pub split: Split,
    /// Statistics that normalized.
    pub stats: Stats,
    /// Mean cross-entropy in nats.
    pub loss: Option<f64>,
    /// Fraction of images classified correctly, 0 to 1.
    pub accuracy: Option<f64>,
    /// Learning rate of the last update.
    pub lr: Option<f64>,
    /// Images per second while the row was measured.
    pub images_per_s: Option<f64>,
    /// Seconds the run has taken so far.
    pub seconds: Option<f64>,
}

/// The rows of `metrics.csv` up to and including `epoch`, to resume from there; none where there is no file.
///
/// # Errors
/// As [`read_rows`].
pub fn read_metrics(path: &Path, epoch: usize) -> Result<Vec<MetricRow>> {
    read_rows(path, |row: &MetricRow| row.epoch <= epoch)
}
