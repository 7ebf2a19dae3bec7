//! Remarks on a section: few runs, missing values, seeds that occur twice, runs with different settings averaged.

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

use super::document::{MethodScore, Section};
use super::horizontal::BatchSizeAxis;
use super::labels::{self, differences};
use super::metric::Metric;
use super::options::CompareOptions;
use super::origin;
use crate::data;
use crate::norm::NormSpec;
use crate::record::{Split, Stats};
use crate::report::read::{Notes, Run, RunState};
use crate::stats::ENOUGH;
use crate::text;

/// As many places are all named; of more, only the first.
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
    let members: Vec<&Run> = section.groups.iter().flat_map(|group| group.runs.iter().map(|i| &runs[*i])).collect();
    origin::on(section, &members, options.metric, notes);
    if section.groups.iter().any(|group| labels::names_rate(&group.label)) {
        let what =
            "rows do not record the setting `lr`, only the rate at the end of each epoch; labels give that of epoch 1";
        notes.say(format!("{name}: {what}"));
    }
    let (on, metric) = (section.measured_on(options.metric), options.metric.name());
    let (space, places) = (if on.is_empty() { "" } else { " on " }, Places::of(section, runs, options));
    let advice = how_to_measure(section, options.metric);
    for (places, what, advice) in [
        (places.without_value, format!("finished runs without {metric}{space}{on}, not in the table"), advice),
        (places.without_statistics, format!("methods without batch statistics have no {metric}"), ""),
        (places.few, format!("fewer than {ENOUGH} runs"), ""),
        (
            places.seed_twice,
            "the same seed occurs in two runs, which may differ in a setting that their rows do not record".into(),
            "; give their run folders, or tell them apart by a column `label`",
        ),
        (
            places.column_differs,
            "the same seed occurs in two runs that differ only in a column that is no setting, or empty in one of them"
                .into(),
            "; tell them apart by a column `label`",
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
    without_statistics: Vec<String>,
    few: Vec<String>,
    seed_twice: Vec<String>,
    column_differs: Vec<String>,
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
                if counted < all && lacks_statistics(options.metric, &group.norm) {
                    places
                        .without_statistics
                        .extend((places.without_statistics.last() != Some(&group.label)).then(|| group.label.clone()));
                } else if counted < all {
                    places.without_value.push(place((all - counted).to_string()));
                }
                places.few.extend((1..ENOUGH).contains(&counted).then(|| place(format!("n = {counted}"))));
                match repeated_seed(&runs) {
                    Some((seed, None)) => places.seed_twice.push(place(format!("seed {seed}"))),
                    Some((seed, Some(column))) => {
                        places.column_differs.push(place(format!("seed {seed}, column `{column}`")))
                    }
                    None => {}
                }
                places.mixed.extend(averaged(&runs).into_iter().map(place));
            }
        }
        places
    }
}

/// Whether `metric` is of batch statistics, which the normalizer `norm` does not have.
fn lacks_statistics(metric: Metric, norm: &str) -> bool {
    let of_statistics = matches!(metric, Metric::Shift | Metric::UsedToPopulation | Metric::InferenceToPopulation);
    of_statistics && NormSpec::new(norm, &Table::new()).is_ok_and(|spec| !spec.remembers())
}

/// A seed of two runs that differ in no known setting, and the column in which their rows differ all the same.
fn repeated_seed(runs: &[&Run]) -> Option<(u64, Option<String>)> {
    let mut seen = BTreeMap::<u64, Vec<&Run>>::new();
    runs.iter().find_map(|run| {
        let others = seen.entry(run.seed?).or_default();
        let again = others.iter().find(|other| differences(&[other, run]).is_empty()).map(|other| column(other, run));
        others.push(run);
        run.seed.zip(again)
    })
}

/// A column in which the rows of two runs of one table differ: one that holds no setting, or a setting that one of the rows
/// leaves empty.
fn column(a: &Run, b: &Run) -> Option<String> {
    let (a, b) = (Some(a).filter(|_| a.source == b.source)?, b);
    let differs =
        a.other_cells.iter().find(|(key, value)| b.other_cells.get(*key).is_some_and(|other| other != *value));
    let keys = || a.settings.keys().chain(b.settings.keys());
    let empty = || keys().find(|key| a.settings.contains_key(*key) != b.settings.contains_key(*key));
    differs.map(|(key, _)| key).or_else(empty).cloned()
}

/// The settings in which the runs differ, with their values.
fn averaged(runs: &[&Run]) -> Vec<String> {
    let said = |(key, values): (String, BTreeSet<String>)| {
        format!("{key} {}", values.into_iter().collect::<Vec<_>>().join(", "))
    };
    differences(runs).into_iter().map(said).collect()
}

fn some_of(places: &[String]) -> String {
    text::first(places, if places.len() > NAMED { 1 } else { NAMED })
}
