//! A run as it is compared: identity, outcome, scores and curves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::record::{Split, Stats, Status};

/// One epoch's score on one split under one kind of statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Updates made so far.
    pub step: Option<usize>,
    /// Mean cross-entropy in nats.
    pub loss: Option<f64>,
    /// Fraction of correct answers.
    pub accuracy: Option<f64>,
    /// Images per second during the measurement.
    pub images_per_s: Option<f64>,
    /// Seconds since the start of the run.
    pub seconds: Option<f64>,
}

/// The points of one split under one kind of statistics, by epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// The split; none where the rows do not say.
    pub split: Option<Split>,
    /// The statistics in use; none for the method's own rule, whatever that is.
    pub stats: Option<Stats>,
    /// By epoch, each once.
    pub points: Vec<Point>,
}

/// The score of a run at its end, on one split under one kind of statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinalScore {
    /// The split.
    pub split: Split,
    /// The statistics in use; none for the method's own rule, whatever that is.
    pub stats: Option<Stats>,
    /// Mean cross-entropy in nats.
    pub loss: Option<f64>,
    /// Fraction of correct answers.
    pub accuracy: Option<f64>,
}

/// What adding an epoch's row did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Insertion {
    /// The first of its epoch.
    New,
    /// A duplicate, with the same scores.
    Same,
    /// A duplicate with other scores; the first is kept.
    Conflict,
}

impl Series {
    /// Adds `point`; rows may come in any order.
    pub(super) fn add(&mut self, point: Point) -> Insertion {
        let place = match self.points.last() {
            Some(last) if last.epoch >= point.epoch => self.points.binary_search_by_key(&point.epoch, |p| p.epoch),
            _ => Err(self.points.len()),
        };
        match place {
            Err(place) => {
                self.points.insert(place, point);
                Insertion::New
            }
            Ok(place) => {
                let old = &mut self.points[place];
                let agrees = |a: Option<f64>, b: Option<f64>| a.is_none() || b.is_none() || a == b;
                if !agrees(old.loss, point.loss) || !agrees(old.accuracy, point.accuracy) {
                    return Insertion::Conflict;
                }
                old.loss = old.loss.or(point.loss);
                old.accuracy = old.accuracy.or(point.accuracy);
                old.seconds = old.seconds.or(point.seconds);
                Insertion::Same
            }
        }
    }
}

/// One training run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Its name; made of its identifying columns where its rows have none.
    pub name: String,
    /// Whether its folder or its rows name it.
    pub is_named: bool,
    /// The method's name in its sweep, where it has one.
    pub label: Option<String>,
    /// Data set; empty where unknown.
    pub dataset: String,
    /// Network; empty where unknown.
    pub model: String,
    /// Normalizer; empty where unknown.
    pub norm: String,
    /// Whether Double-Forward was on.
    pub double_forward: bool,
    /// Images per update.
    pub batch_size: usize,
    /// Images whose statistics are taken together (normalization batch size).
    pub norm_batch_size: usize,
    /// Seed.
    pub seed: Option<u64>,
    /// Every other known setting; a normalizer's parameter as `mbn.size`.
    pub settings: BTreeMap<String, String>,
    /// The cells of its row that hold neither a setting nor a measurement, by column; empty cells are kept.
    pub other_cells: BTreeMap<String, String>,
    /// Epochs it was to train, where known.
    pub epochs: Option<usize>,
    /// How it ended, where its summary says so.
    pub status: Option<Status>,
    /// The scores in its rows.
    pub series: Vec<Series>,
    /// Final scores from its summary; they take precedence over those of the rows.
    pub finals: Vec<FinalScore>,
    /// The last epoch with a non-finite loss, 0 where there is none.
    pub not_finite: usize,
    /// Measured quantities other than scores, by column name.
    pub measured: BTreeMap<&'static str, f64>,
    /// The commit of the program that trained it, where known.
    pub commit: Option<String>,
    /// Device and threads, as far as known.
    pub machine: String,
    /// Whether it was read from its folder, which takes precedence over tables.
    pub has_folder: bool,
    /// The folder or file it was read from.
    pub source: PathBuf,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Trained to the end; its scores are compared.
    Done,
    /// Became non-finite.
    Diverged,
    /// Stopped by an error.
    Failed,
    /// Still running, or interrupted.
    Unfinished,
}

impl Run {
    /// The last epoch of its rows, 0 where there are none.
    pub fn reached(&self) -> usize {
        self.series.iter().filter_map(|series| series.points.last()).map(|point| point.epoch).max().unwrap_or(0)
    }

    /// Its state according to its summary, else as inferred from its rows.
    pub fn state(&self) -> RunState {
        match self.status {
            Some(Status::Done) => RunState::Done,
            Some(Status::Diverged) => RunState::Diverged,
            Some(Status::Failed) => RunState::Failed,
            None if self.not_finite > 0 && self.not_finite >= self.reached() => RunState::Diverged,
            None if self.epochs.is_some_and(|epochs| self.reached() >= epochs) => RunState::Done,
            None => RunState::Unfinished,
        }
    }

    /// The series of a split under the statistics asked for, else under the method's own rule.
    pub fn series(&self, split: Split, stats: Option<Stats>) -> Option<&Series> {
        pick(&self.series, split, stats, |series| (series.split, series.stats))
    }

    /// The final score: that of the last epoch, never of the best.
    pub fn score(&self, split: Split, stats: Option<Stats>) -> Option<FinalScore> {
        if let Some(found) = pick(&self.finals, split, stats, |found| (Some(found.split), found.stats)) {
            return Some(*found);
        }
        let series = self.series(split, stats)?;
        let last = series.points.last().filter(|point| point.epoch == self.reached())?;
        Some(FinalScore { split, stats: series.stats, loss: last.loss, accuracy: last.accuracy })
    }

    /// Accuracy under batch statistics minus that under the method's own rule.
    pub fn gap(&self, split: Split) -> Option<f64> {
        let accuracy = |stats| self.score(split, stats).and_then(|score| score.accuracy);
        let both = || {
            let batch = Some(Stats::Batch);
            let batch = self.score(split, batch).filter(|score| score.stats == batch)?;
            Some(batch.accuracy? - accuracy(None)?)
        };
        both().or_else(|| self.measured.get("gap").copied().filter(|_| split == Split::Test))
    }

    /// Training images per second in the last epoch.
    pub fn images_per_s(&self) -> Option<f64> {
        let last = || self.series(Split::Train, None)?.points.last()?.images_per_s;
        self.measured.get("images_per_s").copied().or_else(last)
    }

    /// Seconds it took.
    pub fn seconds(&self) -> Option<f64> {
        let last = || self.series.iter().filter_map(|series| series.points.last()?.seconds).reduce(f64::max);
        self.measured.get("seconds").copied().or_else(last)
    }
}

/// The entry of `split` under `stats`, or under the method's own rule where `stats` is none. A method without batch
/// statistics infers in one way (`sample`), whatever is asked for.
fn pick<T>(all: &[T], split: Split, stats: Option<Stats>, of: fn(&T) -> (Option<Split>, Option<Stats>)) -> Option<&T> {
    let here = || all.iter().filter(|entry| of(entry).0 == Some(split));
    let named = |wanted: Stats| here().find(|entry| of(entry).1 == Some(wanted));
    match stats {
        Some(wanted) => named(wanted).or_else(|| named(Stats::Sample)),
        None if split == Split::Train => here().next(),
        None => here().find(|entry| !of(entry).1.is_some_and(Stats::is_extra)),
    }
}
