//! Merges records of the same run from several files.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::notes::Notes;
use super::rows;
use super::run::{Insertion, Run};
use super::same::contradict_at_the_end;
use super::settings::ROWS_LR;
use crate::record::{Split, Status};
use crate::text::count;

/// Merges records of the same run; where two differ, the first is used.
#[derive(Default)]
pub(super) struct Merger {
    runs: Vec<Run>,
    names: HashMap<String, Vec<usize>>,
}

impl Merger {
    /// Adds a record.
    pub fn add(&mut self, run: Run, notes: &mut Notes) {
        let places = self.names.entry(run.name.clone()).or_default();
        match places.iter().find(|place| self.runs[**place].agrees(&run)) {
            Some(place) => absorb(&mut self.runs[*place], run, notes),
            None => {
                places.push(self.runs.len());
                self.runs.push(run);
            }
        }
    }

    /// The runs, each once, with the number of epochs each was to train, where that can be inferred.
    pub fn finish(self, notes: &mut Notes) -> Vec<Run> {
        let mut runs = twins(self.runs, notes);
        assume_epochs(&mut runs, notes);
        runs
    }
}

/// Adds to `run` what another record of it knows beyond its own.
fn absorb(run: &mut Run, other: Run, notes: &mut Notes) {
    let mut differ = 0;
    for series in other.series {
        let own = rows::series(run, series.split, series.stats);
        differ += series.points.into_iter().filter(|point| own.add(*point) == Insertion::Conflict).count();
    }
    if differ > 0 {
        let (name, first) = (&run.name, run.source.display());
        let rows = count(differ, "row");
        notes.file(&other.source, format!("{rows} of {name}: other scores than in {first}, which are used"));
    }
    if contradict_at_the_end(&run.finals, &other.finals) {
        let (name, first) = (&run.name, run.source.display());
        let text =
            format!("{name} is there with other final scores, too; those that were read first (in {first}) are used");
        notes.file(&other.source, text);
    }
    for (own, other) in [(&mut run.dataset, other.dataset), (&mut run.model, other.model), (&mut run.norm, other.norm)]
    {
        if own.is_empty() {
            *own = other;
        }
    }
    run.label = run.label.take().or(other.label);
    run.seed = run.seed.or(other.seed);
    run.commit = run.commit.take().or(other.commit);
    run.epochs = run.epochs.or(other.epochs);
    if run.settings.keys().all(|key| key == ROWS_LR) && !other.settings.is_empty() {
        run.settings = other.settings;
    }
    if run.other_cells.is_empty() {
        run.other_cells = other.other_cells;
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

/// Drops runs that occur under two names: same settings, bitwise the same scores.
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
    let scores = Split::ALL.iter().all(|split| {
        let (Some(a), Some(b)) = (a.score(*split, None), b.score(*split, None)) else { return true };
        same_loss |= a.loss.is_some() && a.loss == b.loss;
        (a.loss.is_none() || b.loss.is_none() || a.loss == b.loss)
            && (a.accuracy.is_none() || b.accuracy.is_none() || a.accuracy == b.accuracy)
    });
    settings && labels && scores && same_loss
}

/// Rows alone do not say how long a run was to be. It is assumed to be as long as the longest of the same data set, network
/// and method, so that an interrupted run does not count as finished.
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
            // A table of finished runs need not say its epochs: take those of the other runs, if these agree.
            (true, 0) => lengths
                .get(&(run.dataset.clone(), run.model.clone()))
                .and_then(|known| known.first().copied().filter(|_| known.len() == 1)),
            (true, reached) => Some(reached),
        };
        short += usize::from(!over && run.status.is_none() && run.epochs.is_some_and(|n| run.reached() < n));
    }
    if short > 0 {
        let (runs, [its, have]) = (count(short, "run"), if short == 1 { ["its", "has"] } else { ["their", "have"] });
        notes.say(format!(
            "{runs}, known by {its} rows alone, {have} fewer epochs than others of the same method: taken as unfinished"
        ));
    }
}
