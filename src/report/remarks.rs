//! What a reader of a section should keep in mind: few runs, seeds that occur twice, different things averaged.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Options, Section};
use super::notes::Notes;
use super::run::{Run, State};
use crate::data;

/// Runs of which fewer make an interval that says little.
const FEW: usize = 3;

/// Places that are named before "and so many more".
const NAMED: usize = 4;

/// Remarks on `section`.
pub(super) fn on(section: &Section, runs: &[Run], options: &Options, notes: &mut Notes) {
    let name = section.name();
    if let Some(wanted) = options.baseline.as_ref().filter(|_| section.baseline.is_none() && section.groups.len() > 1) {
        notes.say(format!("{name}: no runs of the baseline `{wanted}`, so no paired differences"));
    }
    if options.diverged_as_chance && data::find(&section.dataset).is_err() {
        notes.say(format!("{name}: the number of classes is not known, so diverged runs cannot count as guessing"));
    }
    let done = section.groups.iter().flat_map(|group| &group.runs).filter(|i| runs[**i].state() == State::Done).count();
    let table = section.tables.iter().find(|table| table.metric == options.metric);
    if done > 0 && table.is_none() {
        notes.say(format!("{name}: no run has {} on {}", options.metric.title(), section.split));
    }
    let few = table.map_or(vec![], |table| {
        let few = table.cells.iter().filter_map(|cell| Some((cell, cell.sample?.n)));
        few.filter(|(_, n)| *n < FEW).map(|(cell, n)| format!("{} at {} (n = {n})", cell.label, cell.x)).collect()
    });
    if !few.is_empty() {
        notes.say(format!("{name}: fewer than {FEW} runs: {}", some_of(&few)));
    }
    let mut twice = vec![];
    let mut mixed = vec![];
    for group in &section.groups {
        let mut cells: BTreeMap<usize, Vec<&Run>> = BTreeMap::new();
        for run in group.runs.iter().map(|i| &runs[*i]) {
            cells.entry(section.x.of(run)).or_default().push(run);
        }
        for (x, runs) in cells {
            twice.extend(repeated_seed(&runs).map(|seed| format!("{} at {x} (seed {seed})", group.label)));
            mixed.extend(pooled(&runs).into_iter().map(|what| format!("{} at {x} ({what})", group.label)));
        }
    }
    if !twice.is_empty() {
        notes.say(format!(
            "{name}: a seed occurs in two runs, which may differ in something their rows do not say: {}; give their run \
             folders, or tell them apart by a column `label`",
            some_of(&twice)
        ));
    }
    if !mixed.is_empty() {
        notes.say(format!("{name}: runs of different settings are averaged: {}", some_of(&mixed)));
    }
    let machines: BTreeSet<&str> = section
        .groups
        .iter()
        .flat_map(|group| group.runs.iter().map(|i| runs[*i].machine.as_str()).filter(|machine| !machine.is_empty()))
        .collect();
    if machines.len() > 1 {
        let machines = machines.into_iter().collect::<Vec<_>>().join("; ");
        notes.say(format!("{name}: throughput and times are from different machines: {machines}"));
    }
}

/// A seed that two of the runs have.
fn repeated_seed(runs: &[&Run]) -> Option<u64> {
    let mut seen = BTreeSet::new();
    runs.iter().filter_map(|run| run.seed).find(|seed| !seen.insert(*seed))
}

/// The settings in which the runs differ, with their values.
fn pooled(runs: &[&Run]) -> Vec<String> {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        values.entry("norm").or_default().insert(run.norm.clone());
        values.entry("double_forward").or_default().insert(run.double_forward.to_string());
        values.entry("batch_size").or_default().insert(run.batch_size.to_string());
        values.entry("norm_batch_size").or_default().insert(run.norm_batch_size.to_string());
        for (key, value) in &run.settings {
            values.entry(key).or_default().insert(value.clone());
        }
    }
    let several = values.into_iter().filter(|(_, values)| values.len() > 1);
    several.map(|(key, values)| format!("{key} {}", values.into_iter().collect::<Vec<_>>().join(", "))).collect()
}

fn some_of(places: &[String]) -> String {
    let more = places.len().saturating_sub(NAMED);
    let named = places.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        format!("{named} and {more} more")
    } else {
        named
    }
}
