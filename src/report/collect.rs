//! From paths to runs: folders are searched, records of the same run put together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::notes::Notes;
use super::run::{Added, Run};
use super::sheet::Sheet;
use super::{folder, rows, summaries};
use crate::record::Status;
use crate::{Error, Result};

/// How deep run folders are looked for; what lies deeper belongs to something else, or to a link in a circle.
const DEPTH: usize = 8;

/// Runs, and what was odd about their files.
#[derive(Debug, Default)]
pub struct Collection {
    /// The runs, each once.
    pub runs: Vec<Run>,
    pub(super) notes: Notes,
}

/// Files to read, folders first: they are the truth about their runs. Each stands under its real path, since the same
/// one may be given twice.
#[derive(Default)]
struct Found {
    folders: BTreeMap<PathBuf, PathBuf>,
    tables: BTreeMap<PathBuf, PathBuf>,
}

/// Reads the runs in `paths`: run folders, folders that hold such, CSV files.
///
/// # Errors
/// A path that does not exist, is no such thing, or holds no run. Whatever is odd inside becomes a remark.
pub fn collect(paths: &[PathBuf]) -> Result<Collection> {
    let mut notes = Notes::default();
    let mut found = Found::default();
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
    let mut runs = twins(merger.runs, &mut notes);
    if runs.is_empty() {
        let reasons: Vec<String> = notes.finish().iter().map(ToString::to_string).collect();
        let path = paths.first().map_or(Path::new("."), PathBuf::as_path);
        return Err(Error::data(path, format!("no run found\n{}", reasons.join("\n")).trim_end()));
    }
    assume_epochs(&mut runs, &mut notes);
    Ok(Collection { runs, notes })
}

fn quietly(read: impl FnOnce(&mut Notes) -> Vec<Run>) -> (Vec<Run>, Notes) {
    let mut notes = Notes::default();
    (read(&mut notes), notes)
}

fn find(path: &Path, found: &mut Found, notes: &mut Notes) -> Result<()> {
    let real = fs::canonicalize(path).map_err(Error::io(path))?;
    if path.is_file() {
        // The rows in a run's folder are known better with what stands beside them.
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

/// Looks for runs in and below `dir`; whether there were any.
fn walk(dir: &Path, entries_of_dir: Vec<PathBuf>, depth: usize, found: &mut Found, notes: &mut Notes) -> bool {
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

/// What lies in `dir`, in the order of names.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(Error::io(dir))?;
    let mut paths = entries.map(|entry| Ok(entry.map_err(Error::io(dir))?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Reads a CSV file of either kind.
fn read_table(path: &Path, notes: &mut Notes) -> Vec<Run> {
    let Some(text) = folder::text(path, notes) else { return vec![] };
    let mut sheet = Sheet::new(path, &text, &rows::COLUMNS);
    if sheet.next(&mut Notes::default()).is_none() {
        notes.file(path, "is empty");
        return vec![];
    }
    let header = sheet.header();
    let has = |name: &str| header.iter().any(|column| column == name);
    let missing = |names: [&str; 2]| names.iter().all(|name| !has(name));
    if has("ci_low") {
        notes.file(path, "is what `mbn compare` wrote, not what runs wrote; not read");
    } else if has("impl") && has("ms_per_step") {
        notes.file(path, "is what `mbn bench` wrote: it has no runs to compare; not read");
    } else if summaries::is_summary(header) && missing(["accuracy", "loss"]) {
        return summaries::read(path, &text, notes);
    } else {
        for (wanted, other) in [("norm", "label"), ("batch_size", "norm_batch_size"), ("accuracy", "loss")] {
            if missing([wanted, other]) {
                let near = rows::near_miss(wanted, header);
                let text = format!("the header has neither `{wanted}`{near} nor `{other}`; the file is not read");
                notes.line(path, sheet.line(), text);
                return vec![];
            }
        }
        return rows::read(path, &text, notes);
    }
    vec![]
}

/// Puts records of the same run together; the first counts where two differ.
#[derive(Default)]
struct Merger {
    runs: Vec<Run>,
    names: HashMap<String, Vec<usize>>,
}

impl Merger {
    fn add(&mut self, run: Run, notes: &mut Notes) {
        let places = self.names.entry(run.name.clone()).or_default();
        match places.iter().find(|place| self.runs[**place].agrees(&run)) {
            Some(place) => absorb(&mut self.runs[*place], run, notes),
            None => {
                places.push(self.runs.len());
                self.runs.push(run);
            }
        }
    }
}

/// Takes into `run` what another record of it says beyond its own.
fn absorb(run: &mut Run, other: Run, notes: &mut Notes) {
    let mut differ = 0;
    for series in other.series {
        let own = rows::series(run, &series.split, &series.stats);
        differ += series.points.into_iter().filter(|point| own.add(*point) == Added::Conflict).count();
    }
    if differ > 0 {
        let (name, first) = (&run.name, run.source.display());
        notes.file(&other.source, format!("{differ} rows of {name} have other scores than in {first}, which count"));
    }
    for (own, other) in [(&mut run.dataset, other.dataset), (&mut run.model, other.model), (&mut run.norm, other.norm)]
    {
        if own.is_empty() {
            *own = other;
        }
    }
    run.label = run.label.take().or(other.label);
    run.seed = run.seed.or(other.seed);
    run.epochs = run.epochs.or(other.epochs);
    if run.settings.is_empty() {
        run.settings = other.settings;
    }
    if !run.has_folder {
        run.status = run.status.or(other.status);
        run.not_finite = run.not_finite.max(other.not_finite);
        if run.finals.is_empty() {
            run.finals = other.finals;
        }
        other.measured.into_iter().for_each(|(name, value)| {
            run.measured.entry(name).or_insert(value);
        });
    }
}

/// Without runs that are there under two names: same settings, same scores to the last bit.
fn twins(runs: Vec<Run>, notes: &mut Notes) -> Vec<Run> {
    type Key = (String, String, String, bool, usize, usize, u64);
    let mut kept: Vec<Run> = vec![];
    let mut places: HashMap<Key, Vec<usize>> = HashMap::new();
    for run in runs {
        let Some(seed) = run.seed else {
            kept.push(run);
            continue;
        };
        let (dataset, model, norm) = (run.dataset.clone(), run.model.clone(), run.norm.clone());
        let key = (dataset, model, norm, run.double_forward, run.batch_size, run.norm_batch_size, seed);
        let like = places.entry(key).or_default();
        match like.iter().find(|place| is_copy(&kept[**place], &run)) {
            Some(place) => {
                let (first, other) = (kept[*place].name.clone(), run.name.clone());
                notes.file(&run.source, format!("{other} is the same run as {first}; it counts once"));
                absorb(&mut kept[*place], run, notes);
            }
            None => {
                like.push(kept.len());
                kept.push(run);
            }
        }
    }
    kept
}

fn is_copy(a: &Run, b: &Run) -> bool {
    let settings = a.settings.iter().all(|(key, value)| b.settings.get(key).is_none_or(|other| other == value));
    let labels = a.label.is_none() || b.label.is_none() || a.label == b.label;
    let mut same_loss = false;
    let scores = ["train", "val", "test"].into_iter().all(|split| {
        let (Some(a), Some(b)) = (a.score(split, None), b.score(split, None)) else { return true };
        same_loss |= a.loss.is_some() && a.loss == b.loss;
        (a.loss.is_none() || b.loss.is_none() || a.loss == b.loss)
            && (a.accuracy.is_none() || b.accuracy.is_none() || a.accuracy == b.accuracy)
    });
    settings && labels && scores && same_loss
}

/// Rows alone do not say how long a run was to be. It is taken to be as long as the longest of its kind, so that one
/// that broke off is not taken for a finished one.
fn assume_epochs(runs: &mut [Run], notes: &mut Notes) {
    let kind = |run: &Run| (run.dataset.clone(), run.model.clone(), run.norm.clone(), run.double_forward);
    let mut longest = BTreeMap::new();
    let mut lengths: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
    for run in runs.iter() {
        let epochs = run.epochs.unwrap_or(run.reached());
        let most = longest.entry(kind(run)).or_insert(0);
        *most = epochs.max(*most);
        lengths.entry((run.dataset.clone(), run.model.clone())).or_default().extend(Some(epochs).filter(|n| *n > 0));
    }
    let mut short = 0;
    for run in runs.iter_mut().filter(|run| run.epochs.is_none()) {
        let over = run.status == Some(Status::Done);
        run.epochs = match (over, run.reached()) {
            (false, _) => longest.get(&kind(run)).copied().filter(|epochs| *epochs > 0),
            // A table of finished runs has no epochs: those of the same experiment, if that is one.
            (true, 0) => lengths
                .get(&(run.dataset.clone(), run.model.clone()))
                .and_then(|known| known.first().copied().filter(|_| known.len() == 1)),
            (true, reached) => Some(reached),
        };
        short += usize::from(!over && run.status.is_none() && run.epochs.is_some_and(|n| run.reached() < n));
    }
    if short > 0 {
        notes.say(format!(
            "{short} runs known by their rows alone have fewer epochs than others of their kind: taken as unfinished"
        ));
    }
}
