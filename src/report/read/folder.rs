//! A run from its folder, complete or not.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use toml::{Table, Value};

use super::notes::Notes;
use super::run::{FinalScore, Run};
use super::sheet::{Sheet, Step};
use super::{rows, settings};
use crate::Error;
use crate::record::{SplitScore, Status, Summary, by_layer, median_of_medians, read_summary};
use crate::text::one_line;

/// Files any of which makes a folder a run folder.
const MARKS: [&str; 3] = ["metrics.csv", "config.toml", "summary.json"];

/// About values of `shift` that an early version recorded.
pub(super) const OLD_SHIFT: &str = "`shift` is the mean over layers and steps here, as an early version recorded it, not the median of the layers' medians; not used";

/// Whether `dir` is a run folder.
pub(super) fn is_run(dir: &Path) -> bool {
    MARKS.iter().any(|name| dir.join(name).is_file())
}

/// Reads the run in `dir`: usually one; more where its `metrics.csv` holds rows of others.
pub(super) fn read(dir: &Path, notes: &mut Notes) -> Vec<Run> {
    let summary = summary(dir, notes);
    let folder_name = dir.file_name().unwrap_or_default().to_string_lossy();
    let metrics = dir.join("metrics.csv");
    let mut runs = text(&metrics, notes).map_or(vec![], |text| rows::read(&metrics, &text, notes));
    let name = one_line(summary.as_ref().map_or(&*folder_name, |summary| summary.run.as_str()));
    let config = match &summary {
        Some(summary) if !summary.config.is_empty() => Some(summary.config.clone()),
        _ => config(&dir.join("config.toml"), notes),
    };
    let place = runs.iter().position(|run| run.name == name).or((runs.len() == 1).then_some(0));
    let place = match (place, &config) {
        (Some(place), _) => place,
        (None, Some(config)) if size(config, "batch_size").is_some_and(|size| size > 0) => {
            runs.push(from_config(&name, config));
            runs.len() - 1
        }
        (None, _) => {
            if runs.is_empty() {
                notes.file(dir, "neither its configuration nor its rows can be read; the run is not counted");
            }
            return runs;
        }
    };
    let run = &mut runs[place];
    run.source = dir.to_path_buf();
    (run.has_folder, run.is_named) = (true, true);
    if let Some(config) = &config {
        run.settings = settings::of_config(config);
        run.epochs = size(config, "epochs");
    }
    shifts(run, &dir.join("diagnostics.csv"), notes);
    if let Some(summary) = summary {
        finish(run, summary, &metrics, notes);
    }
    runs
}

/// How the run ended, as far as its summary can be read.
fn summary(dir: &Path, notes: &mut Notes) -> Option<Summary> {
    read_summary(dir).unwrap_or_else(|error| {
        let why = match error {
            Error::Data { reason, .. } => reason,
            other => other.to_string(),
        };
        let path = dir.join("summary.json");
        notes.file(&path, format!("cannot be read ({why}); how the run ended is taken from its rows"));
        None
    })
}

/// Adds what the summary says to the rows.
fn finish(run: &mut Run, summary: Summary, metrics: &Path, notes: &mut Notes) {
    if summary.status == Status::Done && run.reached() < summary.epochs {
        let (have, all) = (run.reached(), summary.epochs);
        notes.file(metrics, format!("ends at epoch {have} of {all}; the final scores are those of summary.json"));
    }
    let threads = (summary.threads > 0).then(|| threads(&summary.threads.to_string()));
    run.machine = [Some(one_line(&summary.device)), threads].into_iter().flatten().collect::<Vec<_>>().join(", ");
    run.status = Some(summary.status);
    run.commit = summary.commit.as_deref().map(one_line);
    run.finals = summary.results.iter().map(final_score).collect();
    let shift = summary.shift.filter(|_| !summary.shift_by_layer.is_empty());
    if summary.shift.is_some() && shift.is_none() && !run.measured.contains_key("shift") {
        notes.file(&run.source, OLD_SHIFT);
    }
    for (name, value) in [
        ("gap", summary.gap),
        ("shift", shift),
        ("seconds", Some(summary.seconds).filter(|seconds| *seconds > 0.0)),
        ("images_per_s", summary.images_per_s),
        ("peak_memory_mib", summary.peak_memory_mib),
    ] {
        run.measured.extend(value.map(|value| (name, value)));
    }
}

fn final_score(&SplitScore { split, stats, loss, accuracy }: &SplitScore) -> FinalScore {
    FinalScore { split, stats: Some(stats), loss, accuracy }
}

/// `1 thread`, `2 threads`
pub(super) fn threads(count: &str) -> String {
    format!("{count} thread{}", if count == "1" { "" } else { "s" })
}

/// The path that stands for standard input.
pub(super) const STANDARD_INPUT: &str = "-";

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    if path != Path::new(STANDARD_INPUT) {
        return fs::read(path);
    }
    let mut bytes = vec![];
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A file's text; none where it does not exist or cannot be read.
pub(super) fn text(path: &Path, notes: &mut Notes) -> Option<String> {
    match bytes(path) {
        Ok(bytes) if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) => {
            notes.file(path, "is UTF-16; save it as UTF-8");
            None
        }
        Ok(bytes) => Some(String::from_utf8(bytes).unwrap_or_else(|error| {
            notes.file(path, "is not valid UTF-8; invalid bytes are replaced");
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            notes.file(path, format!("cannot be read: {error}"));
            None
        }
    }
}

fn config(path: &Path, notes: &mut Notes) -> Option<Table> {
    let parsed = text(path, notes)?.parse::<Table>();
    parsed.map_err(|error| notes.file(path, format!("not read: {}", error.message()))).ok()
}

fn size(config: &Table, key: &str) -> Option<usize> {
    config.get(key).and_then(Value::as_integer).and_then(|n| usize::try_from(n).ok())
}

/// A run without rows yet.
fn from_config(name: &str, config: &Table) -> Run {
    let word = |key: &str| one_line(config.get(key).and_then(Value::as_str).unwrap_or_default());
    let batch_size = size(config, "batch_size").unwrap_or_default();
    Run {
        name: name.to_string(),
        dataset: word("dataset"),
        model: word("model"),
        norm: word("norm"),
        double_forward: config.get("double_forward").and_then(Value::as_bool).unwrap_or_default(),
        batch_size,
        norm_batch_size: size(config, "norm_batch_size").filter(|size| *size > 0).unwrap_or(batch_size),
        seed: config.get("seed").and_then(Value::as_integer).and_then(|seed| u64::try_from(seed).ok()),
        ..Run::default()
    }
}

/// Reads the diagnostics: the shift over all its measurements, and the two divergences from the training set's statistics
/// at the end of training. Each is the median of the layers' medians.
fn shifts(run: &mut Run, path: &Path, notes: &mut Notes) {
    const NAMES: [&str; 3] = ["shift", "used_to_population", "inference_to_population"];
    let Some(text) = text(path, notes) else { return };
    let mut sheet = Sheet::new(path, &text, &["epoch", "step", "layer", "shift"]);
    let (mut columns, mut epoch_column, mut layer_column) = ([None; 3], None, None);
    // For the shift all rows, for the divergences those of the last epoch that has them.
    let (mut measured, mut last) = ([const { vec![] }; 3], [0; 3]);
    while let Some(step) = sheet.next(notes) {
        if step == Step::Header {
            columns = sheet.columns(NAMES);
            [epoch_column, layer_column] = sheet.columns(["epoch", "layer"]);
            continue;
        }
        let epoch = sheet.cell(epoch_column).parse::<usize>().unwrap_or(0);
        for (i, column) in columns.iter().enumerate() {
            let Some(value) = sheet.number(*column).ok().flatten().filter(|x| x.is_finite()) else { continue };
            if i > 0 && epoch > last[i] {
                (measured[i], last[i]) = (vec![], epoch);
            }
            if i == 0 || epoch == last[i] {
                measured[i].push((sheet.cell(layer_column).to_string(), value));
            }
        }
    }
    for (name, measured) in NAMES.into_iter().zip(measured) {
        let layers = by_layer(measured.iter().map(|(layer, value)| (layer.as_str(), *value)));
        run.measured.extend(median_of_medians(&layers).map(|value| (name, value)));
    }
}
