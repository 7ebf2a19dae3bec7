//! Runs from a table with one row per run: a sweep's `summary.csv`, or one made by hand.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::cells::whole;
use super::columns::check_twice;
use super::folder::OLD_SHIFT;
use super::identity::{COLUMNS, FRACTION, identify, near_miss};
use super::notes::Notes;
use super::run::{FinalScore, Run};
use super::sheet::{Sheet, Step};
use super::{folder, settings};
use crate::record::{Split, Stats, Status};
use crate::text::one_line;

/// Columns of a table of runs that hold a measured quantity.
const MEASURED: [&str; 7] =
    ["gap", "shift", "used_to_population", "inference_to_population", "images_per_s", "seconds", "peak_memory_mib"];

/// Columns that record how a run went; runs that differ in them may be of the same method.
const RECORDED: [&str; 7] = ["status", "reason", "steps", "parameters", "threads", "version", "commit"];

/// Whether a header is that of such a table: final scores have columns of their own.
pub(super) fn is_summary(header: &[String]) -> bool {
    header.iter().any(|name| score_column(name).is_some())
}

/// Split, statistics (none for the method's own) and whether it is the accuracy, of a column such as `test_accuracy` or
/// `test_batch_accuracy`.
fn score_column(name: &str) -> Option<(Split, Option<Stats>, bool)> {
    let (split, rest) = name.split_once('_')?;
    let (stats, what) = match rest.rsplit_once('_') {
        Some((stats, what)) => (Some(stats.parse().ok()?), what),
        None => (None, rest),
    };
    let is_accuracy = what == "accuracy";
    Some((split.parse().ok()?, stats, is_accuracy)).filter(|_| is_accuracy || what == "loss")
}

/// Reads the runs out of the text of the file at `path`.
pub(super) fn read(path: &Path, text: &str, notes: &mut Notes) -> Vec<Run> {
    let mut sheet = Sheet::new(path, text, &COLUMNS);
    let mut runs: Vec<Run> = vec![];
    let mut columns = vec![];
    // Rows under the current header, and how many are there twice.
    let (mut seen, mut twice) = (HashSet::new(), (0, 0));
    while let Some(step) = sheet.next(notes) {
        match step {
            Step::Header => {
                columns = sheet.columns(COLUMNS).to_vec();
                seen.clear();
                check_twice(&sheet, path, notes);
                let known = |name: &&String| settings::of_column(name).is_some() || score_column(name).is_some();
                for name in sheet.header().iter().filter(|name| !known(name) && !MEASURED.contains(&name.as_str())) {
                    let near = near_miss("test_accuracy", std::slice::from_ref(name));
                    if !near.is_empty() {
                        notes.line(
                            path,
                            sheet.line(),
                            name,
                            format!("unknown column `{name}` (did you mean `test_accuracy`?); not used"),
                        );
                    }
                }
            }
            Step::Row if !seen.insert(sheet.cells().join("\u{1f}")) => {
                twice = (twice.0 + 1, if twice.0 == 0 { sheet.line() } else { twice.1 });
            }
            Step::Row => {
                let cells = std::array::from_fn(|i| sheet.cell(columns[i]).to_string());
                match identify(&cells) {
                    Ok(run) => runs.push(fill(Run { source: path.to_path_buf(), ..run }, &sheet, notes, path)),
                    Err((column, why)) => notes.line(path, sheet.line(), column, why),
                }
            }
        }
    }
    notes.twice(path, twice);
    runs
}

/// Adds everything else the row says to the run.
fn fill(mut run: Run, sheet: &Sheet, notes: &mut Notes, path: &Path) -> Run {
    let mut finals: BTreeMap<(Split, Option<Stats>), FinalScore> = BTreeMap::new();
    let mut machine = vec![];
    let [digest, commit] = sheet.columns(["data_digest", "commit"]);
    run.commit = Some(sheet.cell(commit)).filter(|commit| !commit.is_empty()).map(one_line);
    let first_of_its_name = |(i, name): &(usize, &String)| sheet.columns([name])[0] == Some(*i);
    for (i, name) in sheet.header().iter().enumerate().filter(first_of_its_name) {
        let cell = sheet.cell(Some(i));
        if let Some((split, stats, is_accuracy)) = score_column(name) {
            let value = match sheet.number(Some(i)) {
                Ok(Some(x)) if !x.is_finite() || (is_accuracy && !(0.0..=1.0).contains(&x)) => Err(()),
                value => value,
            };
            let value = value.unwrap_or_else(|()| {
                let what = if is_accuracy { FRACTION } else { "a finite number" };
                notes.line(path, sheet.line(), name, format!("`{name}` is `{cell}`, not {what}; the cell is not used"));
                None
            });
            let empty = FinalScore { split, stats, loss: None, accuracy: None };
            let score = finals.entry((split, stats)).or_insert(empty);
            *if is_accuracy { &mut score.accuracy } else { &mut score.loss } = value;
        } else if name == "shift" && commit.is_some() && digest.is_none() {
            // Sweeps recorded no digest of the data when `shift` was still a mean over layers and steps.
            if !cell.is_empty() {
                notes.line(path, sheet.line(), "shift", OLD_SHIFT);
            }
        } else if let Some(name) = MEASURED.iter().find(|measured| *measured == name) {
            run.measured.extend(sheet.number(Some(i)).ok().flatten().filter(|x| x.is_finite()).map(|x| (*name, x)));
        } else if ["device", "threads"].contains(&name.as_str()) && !cell.is_empty() {
            machine.push(if name == "threads" { folder::threads(cell) } else { cell.to_string() });
            if name == "device" {
                run.settings.insert(name.clone(), cell.to_string());
            }
        } else if name == "epochs" {
            run.epochs = whole(cell).ok().flatten().and_then(|n| usize::try_from(n).ok());
        } else if let Some(key) = settings::of_column(name).filter(|_| !cell.is_empty()) {
            run.settings.insert(key, settings::plain(cell));
        } else if !COLUMNS.contains(&name.as_str()) && !RECORDED.contains(&name.as_str()) && !is_index(name) {
            run.other_cells.insert(name.clone(), one_line(cell));
        }
    }
    run.machine = machine.join(", ");
    run.finals = finals.into_values().filter(|f| f.loss.is_some() || f.accuracy.is_some()).collect();
    run.status = status(sheet, &run);
    run
}

/// Whether a column without a name of its own numbers the rows.
fn is_index(name: &str) -> bool {
    name.is_empty() || name.starts_with("unnamed:")
}

/// The run's status according to its row. Without one, a run with scores is done.
fn status(sheet: &Sheet, run: &Run) -> Option<Status> {
    let [column] = sheet.columns(["status"]);
    match sheet.cell(column).to_lowercase().as_str() {
        "done" => Some(Status::Done),
        "diverged" => Some(Status::Diverged),
        "failed" => Some(Status::Failed),
        "" if !run.finals.is_empty() => Some(Status::Done),
        _ => None,
    }
}
