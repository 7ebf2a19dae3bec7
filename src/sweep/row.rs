//! The rows of `summary.csv` and their columns.

use toml::Value;

use super::Job;
use super::existing::Cells;
use crate::record::{Split, SplitScore, Stats, Status, Summary};

/// The columns that identify a run, first in every summary.
pub(super) const IDENTITY: [&str; 11] = [
    "dataset",
    "model",
    "norm",
    "double_forward",
    "batch_size",
    "norm_batch_size",
    "seed",
    "epochs",
    "lr",
    "device",
    "data_digest",
];

/// The score columns: name, split and statistics; without statistics, those of the method's own rule.
pub(super) const SCORES: [Column; 7] = [
    ("train", Split::Train, None),
    ("val", Split::Val, None),
    ("test", Split::Test, None),
    ("test_batch", Split::Test, Some(Stats::Batch)),
    ("test_precise", Split::Test, Some(Stats::Precise)),
    ("test_weighing", Split::Test, Some(Stats::Weighing)),
    ("test_evalnorm", Split::Test, Some(Stats::Evalnorm)),
];

pub(super) type Column = (&'static str, Split, Option<Stats>);

/// The two columns of a score.
pub(super) fn score_columns((name, ..): &Column) -> [String; 2] {
    [format!("{name}_loss"), format!("{name}_accuracy")]
}

pub(super) const MEASURES: [&str; 12] = [
    "gap",
    "shift",
    "status",
    "reason",
    "steps",
    "parameters",
    "seconds",
    "images_per_s",
    "peak_memory_mib",
    "threads",
    "version",
    "commit",
];

/// The columns after the settings.
pub(super) fn measured(scores: &[Column]) -> impl Iterator<Item = String> {
    scores.iter().flat_map(score_columns).chain(MEASURES.map(String::from))
}

/// A run's row.
pub(super) struct Row {
    /// Whether the run failed.
    pub(super) failed: bool,
    /// Whether it is from an earlier `summary.csv`, its run not over in this folder.
    pub(super) kept: bool,
    pub(super) cells: Vec<String>,
}

impl Row {
    /// The row that an earlier `summary.csv` has of a run.
    pub(super) fn kept(job: &Job, old: &Cells, settings: &[String], scores: &[Column]) -> Self {
        let mut cells = head(job, settings);
        cells.extend(measured(scores).map(|column| old.get(&column).cloned().unwrap_or_default()));
        Self { failed: false, kept: true, cells }
    }

    /// The row of a run that is over.
    pub(super) fn new(job: &Job, summary: &Summary, settings: &[String], scores: &[Column]) -> Self {
        let mut cells = head(job, settings);
        // What a run scored before it was stopped or diverged is not its final score.
        let results = if summary.status == Status::Done { &summary.results[..] } else { &[] };
        for &(_, split, stats) in scores {
            // A method's own rule comes first.
            let meant = |score: &&SplitScore| score.split == split && stats.is_none_or(|stats| score.stats == stats);
            let found = results.iter().find(meant);
            cells.extend([number(found.and_then(|s| s.loss)), number(found.and_then(|s| s.accuracy))]);
        }
        let over = summary.status != Status::Failed;
        let count = |n: usize| if over { n.to_string() } else { String::new() };
        cells.extend([
            number(summary.gap.filter(|_| summary.status == Status::Done)),
            number(summary.shift),
            summary.status.to_string(),
            reason(summary),
            count(summary.steps),
            count(summary.parameters),
            number(Some(summary.seconds)),
            number(summary.images_per_s),
            number(summary.peak_memory_mib),
            summary.threads.to_string(),
            summary.version.clone(),
            summary.commit.clone().unwrap_or_default(),
        ]);
        Self { failed: !over, kept: false, cells }
    }
}

/// The cells that identify a run, and those of its settings.
fn head(job: &Job, settings: &[String]) -> Vec<String> {
    let flat = job.config.flat().unwrap_or_default();
    let setting = |key: &str| flat.get(key).map_or(String::new(), plain);
    let named = [job.name.clone(), job.label.clone()].into_iter();
    named.chain(IDENTITY.iter().map(|key| setting(key))).chain(settings.iter().map(|key| setting(key))).collect()
}

/// Why a run has no usable network.
fn reason(summary: &Summary) -> String {
    match (&summary.diverged, &summary.error) {
        (Some(diverged), _) => format!("step {}: {} is not finite", diverged.step, diverged.tensor),
        (None, Some(error)) => error.lines().next().unwrap_or_default().to_string(),
        (None, None) => String::new(),
    }
}

/// A setting as TOML writes it, but text without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// In shortest round-trip form; an empty cell for what is missing or not a number.
fn number(value: Option<f64>) -> String {
    value.filter(|x| x.is_finite()).map_or(String::new(), |x| x.to_string())
}
