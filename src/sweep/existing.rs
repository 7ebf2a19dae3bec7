//! The `summary.csv` that a sweep folder holds already: nothing in it may be lost.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::Job;
use super::row::{MEASURES, SCORES, score_columns};
use super::table::refuse_link;
use crate::record::{Status, read_summary};
use crate::{Error, Result};

/// A row's cells by column.
pub(super) type Cells = HashMap<String, String>;

/// The rows by run of the file at `path` in the sweep folder `dir`, those of failed runs aside; none where there is no file.
///
/// # Errors
/// It is a link; it was not written by a sweep, and there are no runs of this one beside it; a row in it belongs to none of
/// `jobs` and has no run folder, so that it would be lost.
pub(super) fn read(dir: &Path, path: &Path, jobs: &[Job]) -> Result<HashMap<String, Cells>> {
    refuse_link(path)?;
    let bytes = match fs::read(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(HashMap::new());
        }
        bytes => bytes.map_err(Error::io(path))?,
    };
    let own: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let has_folder = |run: &str| read_summary(&dir.join("runs").join(run)).is_ok_and(|summary| summary.is_some());
    let Some(mut rows) = rows(&bytes, jobs)? else {
        // Beside runs of this sweep it is their damaged summary, which is made again.
        return if own.iter().any(|run| has_folder(run)) { Ok(HashMap::new()) } else { Err(foreign(path)) };
    };
    if let Some(run) = rows.keys().filter(|run| !own.contains(run.as_str()) && !has_folder(run)).min() {
        return Err(Error::config(format!(
            "{}: its row of the run {run} would be lost: this sweep has no such run, and there is no folder of it in runs/; \
             choose another --out, or rename the file",
            path.display()
        )));
    }
    rows.retain(|_, cells| cells.get("status").is_some_and(|status| *status != Status::Failed.to_string()));
    Ok(rows)
}

/// The error about a file of another origin in the place of a sweep's own.
pub fn foreign(path: &Path) -> Error {
    Error::config(format!(
        "{}: this file was not written by a sweep and would be overwritten; choose another --out, or rename it",
        path.display()
    ))
}

/// The rows; none if the file is not a summary of a sweep: it has other columns, or is no CSV.
fn rows(bytes: &[u8], jobs: &[Job]) -> Result<Option<HashMap<String, Cells>>> {
    let mut known: BTreeSet<String> = ["run", "label"].into_iter().chain(MEASURES).map(String::from).collect();
    known.extend(SCORES.iter().flat_map(score_columns));
    for job in jobs {
        known.extend(job.config.flat()?.into_keys());
    }
    let read = || -> csv::Result<Option<HashMap<String, Cells>>> {
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers()?.clone();
        let is_known = |column: &str| known.contains(column) || column.contains('.');
        if !bytes.is_empty() && (!header.iter().all(is_known) || !header.iter().take(2).eq(["run", "label"])) {
            return Ok(None);
        }
        let mut rows = HashMap::new();
        for record in reader.records() {
            let record = record?;
            let cells: Cells = header.iter().map(String::from).zip(record.iter().map(String::from)).collect();
            rows.insert(record.get(0).unwrap_or_default().to_string(), cells);
        }
        Ok(Some(rows))
    };
    Ok(read().ok().flatten())
}
