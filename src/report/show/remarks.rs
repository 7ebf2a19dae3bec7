//! Remarks on a section: few runs, missing values, seeds that occur twice, runs with different settings averaged.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{MethodScore, Section};
use super::horizontal::BatchSizeAxis;
use super::labels::differences;
use super::metric::Metric;
use super::options::CompareOptions;
use crate::data;
use crate::record::{Split, Stats};
use crate::report::read::{Notes, Run, RunState};

/// Fewer runs than this make an interval that says little.
const FEW: usize = 3;

/// Places that are named before "and N more".
const NAMED: usize = 4;

/// Remarks on `section`.
pub(super) fn on(section: &Section, runs: &[Run], options: &CompareOptions, notes: &mut Notes) {
    let name = section.name();
    if let Some(wanted) = options.baseline.as_ref().filter(|_| section.baseline.is_none() && section.groups.len() > 1) {
        notes.say(format!("{name}: no runs of the baseline `{wanted}`, so no paired differences"));
    }
    if let (Some(baseline), Some(table)) = (&section.baseline, section.table(options.metric)) {
        let is_other = |cell: &MethodScore| cell.label != *baseline && cell.sample.is_some();
        if table.pairs.is_empty() && table.cells.iter().any(is_other) {
            let what = "no method shares a seed and a batch size with the baseline";
            notes.say(format!("{name}: {what} `{baseline}`, so no paired differences"));
        }
    }
    if options.diverged_as_chance && data::find(&section.dataset).is_err() {
        notes.say(format!("{name}: the number of classes is not known, so diverged runs cannot count at chance level"));
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
    let (on, metric) = (section.measured_on(options.metric), options.metric.name());
    let (space, places) = (if on.is_empty() { "" } else { " on " }, Places::of(section, runs, options));
    for (places, what, advice) in [
        (
            places.without_value,
            format!("finished runs without {metric}{space}{on}, not in the table"),
            how_to_measure(section, options.metric),
        ),
        (places.few, format!("fewer than {FEW} runs"), ""),
        (
            places.seed_twice,
            "the same seed occurs in two runs, which may differ in a setting that their rows do not record".into(),
            "; give their run folders, or tell them apart by a column `label`",
        ),
        (places.mixed, "runs with different settings are averaged".into(), ""),
    ] {
        if !places.is_empty() {
            notes.say(format!("{name}: {what}: {}{advice}", some_of(&places)));
        }
    }
}

/// Advice on the setting that measures what runs lack.
fn how_to_measure(section: &Section, metric: Metric) -> &'static str {
    match metric {
        Metric::Shift | Metric::UsedToPopulation | Metric::InferenceToPopulation => {
            "; train with `diagnostics = true` to measure it"
        }
        _ if section.split == Split::Val => "; train with a `val_fraction` to have it",
        _ if section.stats == Some(Stats::Precise) => "; train with `precise = true` to have it",
        _ if section.stats == Some(Stats::Weighing) => "; train with `weighing = true` to have it",
        _ if section.stats == Some(Stats::Evalnorm) => "; train with `evalnorm = true` to have it",
        _ => "",
    }
}

/// Methods at batch sizes, by what is to be remarked on.
#[derive(Default)]
struct Places {
    without_value: Vec<String>,
    few: Vec<String>,
    seed_twice: Vec<String>,
    mixed: Vec<String>,
}

impl Places {
    fn of(section: &Section, runs: &[Run], options: &CompareOptions) -> Self {
        let mut places = Self::default();
        let size = match section.x {
            BatchSizeAxis::BatchSize => "batch size",
            BatchSizeAxis::NormBatchSize => "normalization batch size",
        };
        for group in &section.groups {
            let mut cells: BTreeMap<usize, Vec<&Run>> = BTreeMap::new();
            for run in group.runs.iter().map(|i| &runs[*i]) {
                cells.entry(section.x.of(run)).or_default().push(run);
            }
            for (x, runs) in cells {
                let place = |what: String| format!("{} at {size} {x} ({what})", group.label);
                let value = |run: &&&Run| options.metric.of(run, section.split, section.stats).is_some();
                let done = || runs.iter().filter(|run| run.state() == RunState::Done);
                let (all, counted) = (done().count(), done().filter(value).count());
                places.without_value.extend((counted < all).then(|| place((all - counted).to_string())));
                places.few.extend((1..FEW).contains(&counted).then(|| place(format!("n = {counted}"))));
                places.seed_twice.extend(repeated_seed(&runs).map(|seed| place(format!("seed {seed}"))));
                places.mixed.extend(averaged(&runs).into_iter().map(place));
            }
        }
        places
    }
}

/// A seed of two runs that differ in no known setting.
fn repeated_seed(runs: &[&Run]) -> Option<u64> {
    let mut seen = BTreeMap::<u64, Vec<&Run>>::new();
    runs.iter().find_map(|run| {
        let others = seen.entry(run.seed?).or_default();
        let again = others.iter().any(|other| differences(&[other, run]).is_empty());
        others.push(run);
        run.seed.filter(|_| again)
    })
}

/// The settings in which the runs differ, with their values.
fn averaged(runs: &[&Run]) -> Vec<String> {
    let said = |(key, values): (String, BTreeSet<String>)| {
        format!("{key} {}", values.into_iter().collect::<Vec<_>>().join(", "))
    };
    differences(runs).into_iter().map(said).collect()
}

fn some_of(places: &[String]) -> String {
    let more = places.len().saturating_sub(NAMED);
    let named = places.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}
