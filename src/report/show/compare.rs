//! The comparison itself: every method at every batch size, and its difference from the baseline on the same seeds.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Comparison, MethodScore, PostHocScore, Section, Table, UnscoredRun};
use super::group::{ComparableRuns, Group, Length, tasks};
use super::horizontal::BatchSizeAxis;
use super::judge;
use super::metric::Metric;
use super::options::CompareOptions;
use super::remarks;
use crate::lookup::closest;
use crate::record::{Split, Stats};
use crate::report::read::{Collection, Notes, Run, RunState};
use crate::stats::Sample;
use crate::{Error, Result, data};

impl Comparison {
    /// Compares the runs of `collection`.
    ///
    /// # Errors
    /// A baseline or a key to group by that no run has; rows that do not say their split, where none is asked for.
    pub fn new(collection: Collection, options: &CompareOptions) -> Result<Self> {
        let Collection { mut runs, mut notes } = collection;
        name_splits(&mut runs, options.split)?;
        let tasks = tasks(&runs, &options.by)?;
        check_baseline(&tasks, options.baseline.as_deref())?;
        let sections: Vec<Section> = tasks.into_iter().map(|task| section(task, &runs, options, &mut notes)).collect();
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            metric: options.metric,
            diverged_as_chance: options.diverged_as_chance,
            sections,
            notes: notes.finish(),
            runs,
        })
    }
}

/// Assigns the split asked for to rows without a column `split`.
///
/// # Errors
/// None was asked for. Training scores must not be mistaken for test scores.
fn name_splits(runs: &mut [Run], wanted: Option<Split>) -> Result<()> {
    for run in runs {
        if run.series.iter().all(|series| series.split.is_some()) {
            continue;
        }
        let Some(wanted) = wanted else {
            let (path, what) = (run.source.display(), "nothing says whether its scores are of training or test images");
            return Err(Error::config(format!(
                "{path}: no column `split`, so {what}; give --split, or add the column"
            )));
        };
        if run.series.iter().any(|series| series.split == Some(wanted)) {
            run.series.retain(|series| series.split.is_some());
        }
        for series in run.series.iter_mut().filter(|series| series.split.is_none()) {
            series.split = Some(wanted);
        }
    }
    Ok(())
}

fn check_baseline(tasks: &[ComparableRuns], wanted: Option<&str>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let labels: BTreeSet<&str> = tasks.iter().flat_map(|task| task.groups.iter().map(|g| g.label.as_str())).collect();
    if labels.contains(wanted) {
        return Ok(());
    }
    let labels: Vec<&str> = labels.into_iter().collect();
    let near = closest(wanted, &labels);
    Err(Error::config(format!("--baseline: no method is called `{wanted}`{near}; known: {}", labels.join(", "))))
}

fn section(task: ComparableRuns, runs: &[Run], options: &CompareOptions, notes: &mut Notes) -> Section {
    let ComparableRuns { dataset, model, length, x, groups } = task;
    let members: Vec<&Run> = groups.iter().flat_map(|group| group.runs.iter().map(|i| &runs[*i])).collect();
    let split = options.split.unwrap_or_else(|| {
        let has = |split: &Split| members.iter().any(|run| run.score(*split, options.stats).is_some());
        [Split::Test, Split::Val].into_iter().find(has).unwrap_or(Split::Test)
    });
    let mut section = Section {
        split,
        stats: options.stats,
        batch_size: members.first().filter(|_| x == BatchSizeAxis::NormBatchSize).map(|run| run.batch_size),
        baseline: baseline(&groups, options.baseline.as_deref()),
        apart: apart(&groups, runs),
        tables: vec![],
        dataset,
        model,
        epochs: if let Length::Epochs(epochs) = length { epochs } else { None },
        epochs_by_size: length == Length::BySize,
        x,
        groups,
    };
    let tables = Metric::all().map(|metric| table(&section, metric, runs, options));
    // The table that was asked for is kept even where no run finished, to say so.
    let counts = |table: &Table| table.metric == options.metric && !table.cells.is_empty();
    section.tables =
        tables.filter(|table| counts(table) || table.cells.iter().any(|cell| cell.sample.is_some())).collect();
    remarks::on(&section, runs, options, notes);
    section
}

/// The method asked for, else plain `bn` (where there are several, the one with most runs), else the first.
fn baseline(groups: &[Group], wanted: Option<&str>) -> Option<String> {
    if groups.len() < 2 {
        return None;
    }
    let label = |group: &Group| group.label.clone();
    match wanted {
        Some(wanted) => groups.iter().find(|group| group.label == wanted).map(label),
        None => {
            let plain = groups.iter().rev().filter(|group| group.norm == "bn" && !group.double_forward);
            plain.max_by_key(|group| group.runs.len()).or(groups.first()).map(label)
        }
    }
}

fn apart(groups: &[Group], runs: &[Run]) -> Vec<UnscoredRun> {
    let mut apart = vec![];
    for group in groups {
        for run in group.runs.iter().map(|i| &runs[*i]) {
            let state = match run.state() {
                RunState::Done => continue,
                RunState::Unfinished => "unfinished",
                RunState::Diverged => "diverged",
                RunState::Failed => "failed",
            };
            let (epoch, epochs) = (run.reached(), run.epochs);
            apart.push(UnscoredRun { run: run.name.clone(), label: group.label.clone(), epoch, epochs, state });
        }
    }
    apart
}

fn table(section: &Section, metric: Metric, runs: &[Run], options: &CompareOptions) -> Table {
    let chance = options.diverged_as_chance.then(|| data::find(&section.dataset).ok()).flatten();
    let chance = chance.and_then(|kind| metric.chance(kind.classes));
    let own = |run: &Run| metric.of(run, section.split, section.stats);
    let mut cells = cells(section, runs, chance, own);
    judge::mark_best(&mut cells, metric, chance.is_some());
    let pairs = section.baseline.as_deref().map_or(vec![], |baseline| judge::pairs(&cells, baseline));
    Table { metric, cells, pairs, post_hoc: post_hoc(section, metric, runs, chance) }
}

/// Where scores are under each method's own inference statistics: those of the same networks under others, where they were
/// measured.
fn post_hoc(section: &Section, metric: Metric, runs: &[Run], chance: Option<f64>) -> Vec<PostHocScore> {
    if section.stats.is_some() || !matches!(metric, Metric::Accuracy | Metric::Loss) {
        return vec![];
    }
    let measured = |cell: &MethodScore| cell.values.len() > if chance.is_some() { cell.diverged } else { 0 };
    let under = |stats: &Stats| {
        let (stats, wanted) = (*stats, Some(*stats));
        let value = |run: &Run| {
            let score = run.score(section.split, wanted)?;
            metric.of(run, section.split, wanted).filter(|_| score.stats == wanted)
        };
        cells(section, runs, chance, value).into_iter().filter(measured).map(move |score| PostHocScore { stats, score })
    };
    Stats::POST_HOC.iter().flat_map(under).collect()
}

/// The methods at their batch sizes, with the `value` of every finished run, and `chance` for those that diverged.
fn cells(
    section: &Section,
    runs: &[Run],
    chance: Option<f64>,
    value: impl Fn(&Run) -> Option<f64>,
) -> Vec<MethodScore> {
    let mut cells = vec![];
    for group in &section.groups {
        let mut by_x: BTreeMap<usize, Vec<&Run>> = BTreeMap::new();
        for run in group.runs.iter().map(|i| &runs[*i]) {
            by_x.entry(section.x.of(run)).or_default().push(run);
        }
        for (x, runs) in by_x {
            let count = |state| runs.iter().filter(|run| run.state() == state).count();
            let value = |run: &&Run| match run.state() {
                RunState::Done => value(run),
                RunState::Diverged => chance,
                _ => None,
            };
            let values: Vec<_> = runs.iter().filter_map(|run| Some((run.seed, value(run)?))).collect();
            let (diverged, failed) = (count(RunState::Diverged), count(RunState::Failed));
            if !values.is_empty() || diverged + failed > 0 {
                let sample = Sample::of(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>());
                cells.push(MethodScore {
                    x,
                    label: group.label.clone(),
                    sample,
                    diverged,
                    failed,
                    best: false,
                    values,
                });
            }
        }
    }
    cells.sort_by_key(|cell| cell.x);
    cells
}
