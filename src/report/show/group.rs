//! Which runs belong together: sections by data set, network and length, groups by method.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::horizontal::BatchSizeAxis;
use super::labels::{self, Labels};
use crate::lookup::closest;
use crate::norm::NORMS;
use crate::report::read::Run;
use crate::{Error, Result};

/// The runs of one method within a section.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Its name in tables and charts.
    pub label: String,
    /// Normalizer.
    pub norm: String,
    /// Whether Double-Forward was on.
    pub double_forward: bool,
    /// Its runs, as indices into the collection.
    #[serde(skip)]
    pub runs: Vec<usize>,
}

/// Runs that may be compared in one table.
#[derive(Debug)]
pub(super) struct ComparableRuns {
    pub dataset: String,
    pub model: String,
    pub length: Length,
    pub x: BatchSizeAxis,
    pub groups: Vec<Group>,
}

/// How long the runs of a task train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Length {
    /// All of them this many epochs, where that is known.
    Epochs(Option<usize>),
    /// The number of epochs depends on the batch size, as where all make equally many updates.
    BySize,
}

/// Settings that never distinguish methods.
const APART: [&str; 5] = ["dataset", "model", "epochs", "batch_size", "seed"];

/// Sorts `runs` into sections and methods; methods differ in the keys `by`, or in any setting where `by` is empty.
///
/// # Errors
/// A key in `by` that no run has.
pub(super) fn tasks(runs: &[Run], by: &[String]) -> Result<Vec<ComparableRuns>> {
    check_keys(runs, by)?;
    let mut places: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (i, run) in runs.iter().enumerate() {
        places.entry((&run.dataset, &run.model)).or_default().push(i);
    }
    let places =
        places.into_iter().flat_map(|(task, places)| by_length(runs, places).into_iter().map(move |l| (task, l)));
    let task = |((dataset, model), (length, places)): ((&str, &str), (Length, Vec<usize>))| {
        let here: Vec<&Run> = places.iter().map(|i| &runs[*i]).collect();
        let x = BatchSizeAxis::choose(&here);
        let labels = Labels::of(x, &here);
        let groups = groups(runs, &places, |run| if by.is_empty() { labels.full(run) } else { labels::by(run, by) });
        ComparableRuns { dataset: dataset.into(), model: model.into(), length, x, groups }
    };
    Ok(places.map(task).collect())
}

/// Separates runs of different lengths, unless the length depends on the batch size.
fn by_length(runs: &[Run], places: Vec<usize>) -> BTreeMap<Length, Vec<usize>> {
    let x = BatchSizeAxis::choose(&places.iter().map(|i| &runs[*i]).collect::<Vec<_>>());
    let mut lengths = BTreeMap::<Length, Vec<usize>>::new();
    let mut sizes = BTreeMap::<usize, BTreeSet<Option<usize>>>::new();
    for run in places.iter().map(|i| &runs[*i]) {
        sizes.entry(x.of(run)).or_default().insert(run.epochs);
    }
    let belongs = sizes.values().all(|epochs| epochs.len() == 1 && !epochs.contains(&None));
    let differ = sizes.values().collect::<BTreeSet<_>>().len() > 1;
    for i in places {
        let length = if belongs && differ { Length::BySize } else { Length::Epochs(runs[i].epochs) };
        lengths.entry(length).or_default().push(i);
    }
    lengths
}

fn groups(runs: &[Run], places: &[usize], name: impl Fn(&Run) -> String) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for &i in places {
        let (label, run) = (name(&runs[i]), &runs[i]);
        let new =
            || Group { label: label.clone(), norm: run.norm.clone(), double_forward: run.double_forward, runs: vec![] };
        groups.entry(label.clone()).or_insert_with(new).runs.push(i);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| {
        let known = NORMS.iter().position(|kind| kind.name == group.norm).unwrap_or(NORMS.len());
        (known, group.norm.clone(), group.double_forward, natural(&group.label))
    });
    groups
}

/// Sort key that puts `size=8` before `size=16`, and `lr=0.025` before `lr=0.1`: words, each with the number after it.
fn natural(label: &str) -> Vec<(String, u64)> {
    let mut parts = vec![];
    let mut rest = label;
    while !rest.is_empty() {
        let (word, other) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let digits = other.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(other.len());
        let (number, behind) = other.split_at(digits);
        // The bit patterns of non-negative floats sort as the floats do.
        parts.push((word.to_string(), number.parse::<f64>().unwrap_or(0.0).to_bits()));
        rest = behind;
    }
    parts
}

fn check_keys(runs: &[Run], by: &[String]) -> Result<()> {
    let settings: BTreeSet<&str> = runs.iter().flat_map(|run| run.settings.keys().map(String::as_str)).collect();
    let fields = ["norm", "label", "run", "double_forward", "norm_batch_size"];
    let known: Vec<&str> = fields.into_iter().chain(settings).collect();
    match by.iter().find(|key| !known.contains(&key.as_str())) {
        Some(key) if APART.contains(&key.as_str()) => Err(Error::config(format!(
            "--by {key}: it cannot distinguish methods: runs of different data sets, networks and lengths have tables of their own, \
             batch sizes have rows, and seeds are averaged over; known: {}",
            known.join(", ")
        ))),
        Some(key) => {
            let near = closest(key, &known);
            Err(Error::config(format!("--by {key}: no run has such a setting{near}; known: {}", known.join(", "))))
        }
        None => Ok(()),
    }
}
