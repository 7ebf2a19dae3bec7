//! `summary.csv`: one row per run that is over, rebuilt from the run folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Value;

use super::Job;
use crate::config::Config;
use crate::lock::{self, Lock};
use crate::record::{Split, SplitScore, Stats, Status, Summary, atomic, read_summary};
use crate::{Error, Result};

/// The columns that identify a run, first in every summary.
const IDENTITY: [&str; 11] = [
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
const SCORES: [Column; 7] = [
    ("train", Split::Train, None),
    ("val", Split::Val, None),
    ("test", Split::Test, None),
    ("test_batch", Split::Test, Some(Stats::Batch)),
    ("test_precise", Split::Test, Some(Stats::Precise)),
    ("test_weighing", Split::Test, Some(Stats::Weighing)),
    ("test_evalnorm", Split::Test, Some(Stats::Evalnorm)),
];

type Column = (&'static str, Split, Option<Stats>);

/// The score columns of a sweep: those added in later versions appear only where they are measured.
fn scores(jobs: &[Job]) -> Vec<Column> {
    let any = |is_on: fn(&Config) -> bool| jobs.iter().any(|job| is_on(&job.config));
    let measured = |column: &Column| match column.2 {
        Some(Stats::Weighing) => any(|config| config.weighing),
        Some(Stats::Evalnorm) => any(|config| config.evalnorm),
        _ => true,
    };
    SCORES.into_iter().filter(measured).collect()
}

const MEASURES: [&str; 12] = [
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

/// The summary of a sweep folder, in memory and on disk.
pub struct SummaryTable {
    dir: PathBuf,
    /// Settings beyond [`IDENTITY`] in which the runs differ, and every parameter of their normalizers.
    settings: Vec<String>,
    scores: Vec<Column>,
    rows: Vec<Option<Row>>,
}

struct Row {
    failed: bool,
    cells: Vec<String>,
}

impl SummaryTable {
    /// The table of the runs `jobs` in the sweep folder `dir`.
    ///
    /// # Errors
    /// A configuration cannot be written as TOML; resolved ones can.
    pub fn new(dir: &Path, jobs: &[Job]) -> Result<Self> {
        let (settings, scores) = (settings(jobs)?, scores(jobs));
        Ok(Self { dir: dir.to_path_buf(), settings, scores, rows: jobs.iter().map(|_| None).collect() })
    }

    /// Copies the text of the sweep file to `sweep.toml`.
    ///
    /// # Errors
    /// I/O errors.
    pub fn keep(&self, text: &str) -> Result<()> {
        let _lock = lock(&self.dir)?;
        replace(&self.dir.join("sweep.toml"), text.as_bytes())
    }

    /// The path of `summary.csv`.
    pub fn path(&self) -> PathBuf {
        self.dir.join("summary.csv")
    }

    /// Number of runs that have a row.
    pub fn len(&self) -> usize {
        self.rows.iter().flatten().count()
    }

    /// Whether no run has a row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads what is new in the run folders and writes `summary.csv`, one process at a time; runs that are not over have
    /// no row.
    ///
    /// # Errors
    /// I/O errors.
    pub fn update(&mut self, jobs: &[Job]) -> Result<()> {
        let _lock = lock(&self.dir)?;
        for (job, row) in jobs.iter().zip(&mut self.rows) {
            // A run that failed may have been repeated since.
            if row.as_ref().is_none_or(|row| row.failed) {
                let summary = read_summary(&self.dir.join("runs").join(&job.name)).ok().flatten();
                *row = summary.map(|summary| Row::new(job, &summary, &self.settings, &self.scores));
            }
        }
        let bytes = self.bytes().map_err(|reason| Error::io(self.path())(std::io::Error::other(reason)))?;
        replace(&self.path(), &bytes)
    }

    fn bytes(&self) -> std::result::Result<Vec<u8>, String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let scores = self.scores.iter().flat_map(|(name, ..)| [format!("{name}_loss"), format!("{name}_accuracy")]);
        let header =
            ["run", "label"].into_iter().chain(IDENTITY).map(String::from).chain(self.settings.iter().cloned());
        let header = header.chain(scores).chain(MEASURES.map(String::from));
        writer.write_record(header).map_err(|e| e.to_string())?;
        for row in self.rows.iter().flatten() {
            writer.write_record(&row.cells).map_err(|e| e.to_string())?;
        }
        writer.into_inner().map_err(|e| e.to_string())
    }
}

/// Replaces a file of the sweep folder if its contents differ.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    atomic::write(path, bytes)
}

/// One process at a time reads the folders and replaces the file, so that none replaces it by an older version.
pub(super) fn lock(dir: &Path) -> Result<Lock> {
    let lock = lock::wait(dir)?;
    // Without locks, another process may be writing here.
    if lock.alone {
        atomic::clean(dir)?;
    }
    Ok(lock)
}

/// The settings beyond the identity in which runs differ, then every parameter of their normalizers.
fn settings(jobs: &[Job]) -> Result<Vec<String>> {
    let (mut first, mut varied, mut params) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for job in jobs {
        for (key, value) in job.config.flat()? {
            if key.contains('.') {
                params.insert(key);
            } else if !IDENTITY.contains(&key.as_str()) && *first.entry(key.clone()).or_insert(value.clone()) != value {
                varied.insert(key);
            }
        }
    }
    Ok(varied.into_iter().chain(params).collect())
}

impl Row {
    fn new(job: &Job, summary: &Summary, settings: &[String], scores: &[Column]) -> Self {
        let flat = job.config.flat().unwrap_or_default();
        let setting = |key: &str| flat.get(key).map_or(String::new(), plain);
        let mut cells = vec![job.name.clone(), job.label.clone()];
        cells.extend(IDENTITY.iter().map(|key| setting(key)));
        cells.extend(settings.iter().map(|key| setting(key)));
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
        Self { failed: !over, cells }
    }
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
