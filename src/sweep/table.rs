//! `summary.csv`: one row per run that is over, made from the run folders. Rows of runs whose folders are not there are
//! kept as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::row::{Column, IDENTITY, Row, SCORES, measured};
use super::{Job, existing};
use crate::config::Config;
use crate::lock::{self, Lock};
use crate::record::{Stats, atomic, read_summary};
use crate::{Error, Result};

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

/// The summary of a sweep folder, in memory and on disk.
pub struct SummaryTable {
    dir: PathBuf,
    /// Settings beyond [`IDENTITY`] in which the runs differ, and every parameter of their normalizers.
    settings: Vec<String>,
    scores: Vec<Column>,
    rows: Vec<Option<Row>>,
}

impl SummaryTable {
    /// The table of the runs `jobs` in the sweep folder `dir`, with the rows that a `summary.csv` there has of them.
    ///
    /// # Errors
    /// A `summary.csv` that was not written by a sweep, or has a row that would be lost; it is left as it is.
    pub fn new(dir: &Path, jobs: &[Job]) -> Result<Self> {
        let (settings, scores) = (settings(jobs)?, scores(jobs));
        let mut table = Self { dir: dir.to_path_buf(), settings, scores, rows: vec![] };
        let old = existing::read(dir, &table.path(), jobs)?;
        let kept = |job: &Job| old.get(&job.name).map(|cells| Row::kept(job, cells, &table.settings, &table.scores));
        table.rows = jobs.iter().map(kept).collect();
        Ok(table)
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

    /// What the user should know of the rows: those kept without a run folder, and runs in the folder without a row.
    pub fn notes(&self, jobs: &[Job]) -> Vec<String> {
        let known: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        let folders = fs::read_dir(self.dir.join("runs")).into_iter().flatten().flatten().filter(|e| e.path().is_dir());
        let others = folders.filter(|entry| !known.contains(&*entry.file_name().to_string_lossy())).count();
        let kept = self.rows.iter().flatten().filter(|row| row.kept).count();
        let notes = [
            (kept, "rows of summary.csv that are kept, though runs/ holds no result of their runs"),
            (others, "folders in runs/ that are of no run of the sweep file, and have no row in summary.csv"),
        ];
        notes.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")).collect()
    }

    /// Reads what is new in the run folders and writes `summary.csv`, one process at a time; runs that are not over have
    /// no row, unless an earlier `summary.csv` had one.
    ///
    /// # Errors
    /// I/O errors.
    pub fn update(&mut self, jobs: &[Job]) -> Result<()> {
        let _lock = lock(&self.dir)?;
        for (job, row) in jobs.iter().zip(&mut self.rows) {
            // A run that failed may have been repeated since; a kept row has nothing to be made from until its run is over.
            if row.as_ref().is_none_or(|row| row.failed || row.kept) {
                let summary = read_summary(&self.dir.join("runs").join(&job.name)).ok().flatten();
                if summary.is_some() || row.as_ref().is_none_or(|row| !row.kept) {
                    *row = summary.map(|summary| Row::new(job, &summary, &self.settings, &self.scores));
                }
            }
        }
        let bytes = self.bytes().map_err(|reason| Error::io(self.path())(std::io::Error::other(reason)))?;
        replace(&self.path(), &bytes)
    }

    fn bytes(&self) -> std::result::Result<Vec<u8>, String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header =
            ["run", "label"].into_iter().chain(IDENTITY).map(String::from).chain(self.settings.iter().cloned());
        let header = header.chain(measured(&self.scores));
        writer.write_record(header).map_err(|e| e.to_string())?;
        for row in self.rows.iter().flatten() {
            writer.write_record(&row.cells).map_err(|e| e.to_string())?;
        }
        writer.into_inner().map_err(|e| e.to_string())
    }
}

/// Replaces a file of the sweep folder if its contents differ.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    refuse_link(path)?;
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    atomic::write(path, bytes)
}

/// Refuses a symbolic link, which would be replaced by a file.
pub(super) fn refuse_link(path: &Path) -> Result<()> {
    match path.is_symlink() {
        true => Err(Error::config(format!(
            "{}: this is a symbolic link and would be replaced by a file; choose another --out, or remove the link",
            path.display()
        ))),
        false => Ok(()),
    }
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
