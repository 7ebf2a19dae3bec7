//! From paths to runs: finds the files and reads each by its kind.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::identity::{COLUMNS, near_miss};
use super::merge::Merger;
use super::notes::Notes;
use super::run::Run;
use super::sheet::Sheet;
use super::{folder, rows, summaries};
use crate::sweep::Sweep;
use crate::{Error, Result};

/// How deep run folders are searched for: a bound, since symbolic links may form a cycle.
const DEPTH: usize = 8;

/// Extensions of files that belong to runs but are not tables.
const NO_TABLES: [&str; 3] = ["toml", "json", "safetensors"];

/// Runs, and remarks on their files.
#[derive(Debug, Default)]
pub struct Collection {
    /// The runs, each once.
    pub runs: Vec<Run>,
    pub(in crate::report) notes: Notes,
}

/// Files to read, by real path, since the same one may be given twice. Folders are read first: they take precedence over
/// tables that hold the same runs.
#[derive(Default)]
struct FoundPaths {
    folders: BTreeMap<PathBuf, PathBuf>,
    tables: BTreeMap<PathBuf, PathBuf>,
    /// Sweep files that stand beside the runs.
    sweeps: Vec<PathBuf>,
}

/// Reads the runs in `paths`: run folders, folders that hold such, CSV files; `-` is a CSV file on standard input.
///
/// # Errors
/// A path that does not exist, or paths without any run. Whatever is wrong inside the files becomes a remark.
pub fn collect(paths: &[PathBuf]) -> Result<Collection> {
    let mut notes = Notes::default();
    let mut found = FoundPaths::default();
    for path in paths {
        find(path, &mut found, &mut notes)?;
    }
    let folders: Vec<&PathBuf> = found.folders.values().collect();
    let read: Vec<(Vec<Run>, Notes)> =
        folders.par_iter().map(|dir| quietly(|notes| folder::read(dir, notes))).collect();
    let tables = found.tables.values().map(|path| quietly(|notes| read_table(path, notes)));
    let mut merger = Merger::default();
    for (runs, remarks) in read.into_iter().chain(tables) {
        notes.extend(remarks);
        runs.into_iter().for_each(|run| merger.add(run, &mut notes));
    }
    let mut runs = merger.finish(&mut notes);
    found.sweeps.iter().for_each(|path| label(&mut runs, path));
    if runs.is_empty() {
        let reasons: Vec<String> = notes.finish().iter().map(ToString::to_string).collect();
        let path = paths.first().map_or(Path::new("."), PathBuf::as_path);
        if reasons.is_empty() {
            let why = "no run found: neither run folders (config.toml, metrics.csv, summary.json) nor CSV files";
            return Err(Error::data(path, why));
        }
        return Err(Error::data(path, format!("no run found\n{}", reasons.join("\n")).trim_end()));
    }
    Ok(Collection { runs, notes })
}

/// Labels the runs that are not over, and so in no summary yet, as the sweep file at `path` does.
fn label(runs: &mut [Run], path: &Path) {
    let mut unlabelled = runs.iter_mut().filter(|run| run.label.is_none()).peekable();
    // Only labels come from this file, so an unreadable one is ignored.
    let out = path.parent().unwrap_or(Path::new("."));
    let load = || Sweep::load(path)?.on_recorded_data(out);
    let Some(Ok(sweep)) = unlabelled.peek().map(|_| load()) else { return };
    let labels: HashMap<String, String> = sweep.jobs.into_iter().map(|job| (job.name, job.label)).collect();
    unlabelled.for_each(|run| run.label = labels.get(&run.name).cloned());
}

fn quietly(read: impl FnOnce(&mut Notes) -> Vec<Run>) -> (Vec<Run>, Notes) {
    let mut notes = Notes::default();
    (read(&mut notes), notes)
}

fn find(path: &Path, found: &mut FoundPaths, notes: &mut Notes) -> Result<()> {
    // A pipe has no real path, and is read once.
    let is_pipe = || fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir());
    if path == Path::new(folder::STANDARD_INPUT) || is_pipe() {
        found.tables.insert(path.to_path_buf(), path.to_path_buf());
        return Ok(());
    }
    let real = fs::canonicalize(path).map_err(Error::io(path))?;
    if path.is_file() {
        // The rows of a run folder are read with the folder's other files.
        match path.parent().filter(|dir| path.ends_with("metrics.csv") && dir.join("config.toml").is_file()) {
            Some(dir) => found.folders.insert(real_path(dir), dir.to_path_buf()),
            None => found.tables.insert(real, path.to_path_buf()),
        };
        return Ok(());
    }
    if !walk(path, entries(path)?, DEPTH, found, notes) {
        // A folder of nothing but tables.
        let tables = entries(path)?.into_iter().filter(|file| file.extension().is_some_and(|end| end == "csv"));
        found.tables.extend(tables.map(|file| (real_path(&file), file)));
    }
    Ok(())
}

/// Looks for runs in and below `dir`; returns whether there are any.
fn walk(dir: &Path, entries_of_dir: Vec<PathBuf>, depth: usize, found: &mut FoundPaths, notes: &mut Notes) -> bool {
    if folder::is_run(dir) {
        found.folders.insert(real_path(dir), dir.to_path_buf());
        return true;
    }
    let mut any = false;
    for path in entries_of_dir {
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden && depth > 0 {
            match entries(&path) {
                Ok(entries) => any |= walk(&path, entries, depth - 1, found, notes),
                Err(error) => notes.say(error.to_string()),
            }
        } else if path.ends_with("sweep.toml") {
            found.sweeps.push(path);
        } else if path.ends_with("summary.csv") {
            found.tables.insert(real_path(&path), path);
            any = true;
        }
    }
    any
}

fn real_path(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The entries of `dir`, sorted by name.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(Error::io(dir))?;
    let mut paths = entries.map(|entry| Ok(entry.map_err(Error::io(dir))?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Reads a CSV file: a `metrics.csv` or a `summary.csv`.
fn read_table(path: &Path, notes: &mut Notes) -> Vec<Run> {
    if path.extension().is_some_and(|ending| NO_TABLES.iter().any(|other| ending == *other)) {
        notes.file(path, "is not a CSV file; give the folder of the run or the sweep instead");
        return vec![];
    }
    let Some(text) = folder::text(path, notes) else { return vec![] };
    let mut sheet = Sheet::new(path, &text, &COLUMNS);
    if sheet.next(&mut Notes::default()).is_none() {
        notes.file(path, "is empty");
        return vec![];
    }
    let header = &sheet.header().to_vec();
    let has = |name: &str| header.iter().any(|column| column == name);
    let missing = |names: [&str; 2]| names.iter().all(|name| !has(name));
    let (line, mut quiet) = (sheet.line(), Notes::default());
    if sheet.next(&mut quiet).is_none() && quiet.is_empty() {
        notes.file(path, "has a header and no rows");
    } else if has("ci_low") {
        notes.file(path, "was written by `mbn compare` and holds no runs; not read");
    } else if has("impl") && has("ms_per_step") {
        notes.file(path, "was written by `mbn bench` and holds no runs; not read");
    } else if summaries::is_summary(header) && missing(["accuracy", "loss"]) {
        return summaries::read(path, &text, notes);
    } else {
        for (wanted, other) in [("norm", "label"), ("batch_size", "norm_batch_size"), ("accuracy", "loss")] {
            if missing([wanted, other]) {
                let near = near_miss(wanted, header);
                let text = format!("the header has neither `{wanted}`{near} nor `{other}`; the file is not read");
                notes.line(path, line, wanted, text);
                return vec![];
            }
        }
        return rows::read(path, &text, notes);
    }
    vec![]
}
