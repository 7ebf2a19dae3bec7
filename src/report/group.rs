//! Which runs belong together: sections by task, groups by method.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::run::Run;
use crate::lookup::closest;
use crate::norm::NORMS;
use crate::{Error, Result};

/// The runs of one method within a section.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Its name in tables and pictures.
    pub label: String,
    /// Normalizer.
    pub norm: String,
    /// Whether Double-Forward was on.
    pub double_forward: bool,
    /// Its runs, as places in the collection.
    #[serde(skip)]
    pub runs: Vec<usize>,
}

/// What stands on the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum X {
    /// Images per update.
    BatchSize,
    /// Images whose statistics are taken together, at one batch size.
    NormBatchSize,
}

impl X {
    /// The value of `run`.
    pub fn of(self, run: &Run) -> usize {
        match self {
            Self::BatchSize => run.batch_size,
            Self::NormBatchSize => run.norm_batch_size,
        }
    }

    /// Name in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::BatchSize => "batch size",
            Self::NormBatchSize => "normalization batch size",
        }
    }

    /// What varies among `runs`.
    fn choose(runs: &[&Run]) -> Self {
        let count = |x: Self| runs.iter().map(|run| x.of(run)).collect::<BTreeSet<_>>().len();
        if count(Self::BatchSize) == 1 && count(Self::NormBatchSize) > 1 {
            Self::NormBatchSize
        } else {
            Self::BatchSize
        }
    }
}

/// One task: runs that may stand in one table.
#[derive(Debug)]
pub(super) struct Task {
    pub dataset: String,
    pub model: String,
    pub length: Length,
    pub x: X,
    pub groups: Vec<Group>,
}

/// How long the runs of a task train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Length {
    /// All of them this many epochs, where that is known.
    Epochs(Option<usize>),
    /// Every batch size has a number of its own, as where all make equally many updates.
    BySize,
}

/// Sorts `runs` into tasks and methods, `by` the keys given or by everything that differs.
///
/// # Errors
/// A key that no run has.
pub(super) fn tasks(runs: &[Run], by: &[String]) -> Result<Vec<Task>> {
    check_keys(runs, by)?;
    let mut places: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (i, run) in runs.iter().enumerate() {
        places.entry((&run.dataset, &run.model)).or_default().push(i);
    }
    let places =
        places.into_iter().flat_map(|(task, places)| by_length(runs, places).into_iter().map(move |l| (task, l)));
    let task = |((dataset, model), (length, places)): ((&str, &str), (Length, Vec<usize>))| {
        let here: Vec<&Run> = places.iter().map(|i| &runs[*i]).collect();
        let x = X::choose(&here);
        let groups = groups(runs, &places, |run| if by.is_empty() { full_name(run, x, &here) } else { name(run, by) });
        Task { dataset: dataset.into(), model: model.into(), length, x, groups }
    };
    Ok(places.map(task).collect())
}

/// Runs of different lengths are not compared; where the length belongs to the batch size, they never would be.
fn by_length(runs: &[Run], places: Vec<usize>) -> BTreeMap<Length, Vec<usize>> {
    let x = X::choose(&places.iter().map(|i| &runs[*i]).collect::<Vec<_>>());
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

/// Sorts `size=8` before `size=16`.
fn natural(label: &str) -> Vec<(String, u64)> {
    let mut parts = vec![(String::new(), 0u64)];
    for c in label.chars() {
        let Some((text, number)) = parts.last_mut() else { break };
        match c.to_digit(10) {
            Some(digit) => *number = number.saturating_mul(10).saturating_add(digit.into()),
            None if *number > 0 => parts.push((c.to_string(), 0)),
            None => text.push(c),
        }
    }
    parts
}

/// The label, else normalizer, Double-Forward and every setting that differs among the runs `here`.
fn full_name(run: &Run, x: X, here: &[&Run]) -> String {
    if let Some(label) = &run.label {
        return label.clone();
    }
    let mut parts = vec![method(run)];
    let differs = |key: &str| {
        let values: BTreeSet<&String> = here.iter().filter_map(|run| run.settings.get(key)).collect();
        values.len() > 1
    };
    let (own, general): (Vec<_>, Vec<_>) =
        run.settings.iter().filter(|(key, _)| differs(key)).partition(|(key, _)| key.contains('.'));
    parts.extend(own.into_iter().chain(general).map(|(key, value)| format!("{}={value}", short(key))));
    if x == X::BatchSize && run.norm_batch_size != run.batch_size {
        parts.push(format!("nb={}", run.norm_batch_size));
    }
    parts.join(" ")
}

fn method(run: &Run) -> String {
    let norm = if run.norm.is_empty() { "?" } else { &run.norm };
    format!("{norm}{}", if run.double_forward { " + DF" } else { "" })
}

/// A normalizer's parameter without the normalizer's name, which stands before it anyway.
fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The name by the keys asked for.
fn name(run: &Run, by: &[String]) -> String {
    let part = |key: &String| match key.as_str() {
        "norm" => Some(method(run)),
        "label" => Some(run.label.clone().unwrap_or_else(|| method(run))),
        "run" => Some(run.name.clone()),
        "double_forward" => Some(if run.double_forward { "DF" } else { "no DF" }.to_string()),
        "norm_batch_size" => Some(format!("nb={}", run.norm_batch_size)),
        key => run.settings.get(key).map(|value| format!("{}={value}", short(key))),
    };
    let parts: Vec<String> = by.iter().filter_map(part).collect();
    if parts.is_empty() {
        method(run)
    } else {
        parts.join(" ")
    }
}

fn check_keys(runs: &[Run], by: &[String]) -> Result<()> {
    let settings: BTreeSet<&str> = runs.iter().flat_map(|run| run.settings.keys().map(String::as_str)).collect();
    let fields = ["norm", "label", "run", "double_forward", "norm_batch_size"];
    let known: Vec<&str> = fields.into_iter().chain(settings).collect();
    match by.iter().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            let near = closest(key, &known);
            Err(Error::config(format!("--by {key}: no run has such a setting{near}; known: {}", known.join(", "))))
        }
        None => Ok(()),
    }
}
