//! A run as it is compared: who it is, how it ended, its scores, its curve.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::record::{Final, Status};

/// One epoch's score on one split under one kind of statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Updates made so far.
    pub step: Option<usize>,
    /// Mean cross-entropy in nats.
    pub loss: Option<f64>,
    /// Share of correct answers.
    pub accuracy: Option<f64>,
    /// Images per second while it was measured.
    pub images_per_s: Option<f64>,
    /// Seconds the run had taken.
    pub seconds: Option<f64>,
}

/// The points of one split under one kind of statistics, by epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// `train`, `val`, `test`.
    pub split: String,
    /// Which statistics normalized, as in `metrics.csv`.
    pub stats: String,
    /// In the order of epochs, each once.
    pub points: Vec<Point>,
}

/// How an epoch's row was taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// The first of its epoch.
    New,
    /// There already, with the same scores.
    Same,
    /// There already, with other scores; the first stays.
    Conflict,
}

impl Series {
    /// Takes up `point`, whatever order the rows come in.
    pub(super) fn add(&mut self, point: Point) -> Added {
        let place = match self.points.last() {
            Some(last) if last.epoch >= point.epoch => self.points.binary_search_by_key(&point.epoch, |p| p.epoch),
            _ => Err(self.points.len()),
        };
        match place {
            Err(place) => {
                self.points.insert(place, point);
                Added::New
            }
            Ok(place) => {
                let old = &mut self.points[place];
                let agrees = |a: Option<f64>, b: Option<f64>| a.is_none() || b.is_none() || a == b;
                if !agrees(old.loss, point.loss) || !agrees(old.accuracy, point.accuracy) {
                    return Added::Conflict;
                }
                old.loss = old.loss.or(point.loss);
                old.accuracy = old.accuracy.or(point.accuracy);
                old.seconds = old.seconds.or(point.seconds);
                Added::Same
            }
        }
    }
}

/// One training run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// What its experiment calls it, where it does.
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
    /// Images whose statistics are taken together.
    pub norm_batch_size: usize,
    /// Seed.
    pub seed: Option<u64>,
    /// Every other setting that is known, a normalizer's as `mbn.size`.
    pub settings: BTreeMap<String, String>,
    /// Epochs it was to train, where known.
    pub epochs: Option<usize>,
    /// How it ended, where its summary says so.
    pub status: Option<Status>,
    /// What its rows hold.
    pub series: Vec<Series>,
    /// Final scores from its summary; they count before those of the rows.
    pub finals: Vec<Final>,
    /// The last epoch whose loss is not finite, 0 where all are.
    pub not_finite: usize,
    /// The measured quantities that are not scores, by their column's name.
    pub measured: BTreeMap<&'static str, f64>,
    /// Device and threads, as far as known.
    pub machine: String,
    /// It has a folder, which is the truth about it.
    pub has_folder: bool,
    /// Where it was read.
    pub source: PathBuf,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Trained to the end: it counts.
    Done,
    /// Left the finite numbers.
    Diverged,
    /// Stopped by an error.
    Failed,
    /// Still going, or broken off.
    Unfinished,
}

/// Statistics that are not a method's own rule, but were asked for beside it.
pub(super) const BESIDE: [&str; 2] = ["batch", "precise"];

impl Run {
    /// The last epoch of its rows, 0 where there are none.
    pub fn reached(&self) -> usize {
        self.series.iter().filter_map(|series| series.points.last()).map(|point| point.epoch).max().unwrap_or(0)
    }

    /// Where it stands: its summary's word, else what its rows allow.
    pub fn state(&self) -> State {
        match self.status {
            Some(Status::Done) => State::Done,
            Some(Status::Diverged) => State::Diverged,
            Some(Status::Failed) => State::Failed,
            None if self.not_finite > 0 && self.not_finite >= self.reached() => State::Diverged,
            None if self.epochs.is_some_and(|epochs| self.reached() >= epochs) => State::Done,
            None => State::Unfinished,
        }
    }

    /// The splits, and the statistics on each, that there are scores of.
    pub(in crate::report) fn kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        let finals = self.finals.iter().map(|found| (found.split.as_str(), found.stats.as_str()));
        self.series.iter().map(|series| (series.split.as_str(), series.stats.as_str())).chain(finals)
    }

    /// The series of a split under the statistics asked for, else under the method's own rule.
    pub fn series(&self, split: &str, stats: Option<&str>) -> Option<&Series> {
        pick(&self.series, split, stats, |series| (&series.split, &series.stats))
    }

    /// The score at the end of training: that of the last epoch, never of the best.
    pub fn score(&self, split: &str, stats: Option<&str>) -> Option<Final> {
        if let Some(found) = pick(&self.finals, split, stats, |found| (&found.split, &found.stats)) {
            return Some(found.clone());
        }
        let series = self.series(split, stats)?;
        let last = series.points.last().filter(|point| point.epoch == self.reached())?;
        let (split, stats) = (series.split.clone(), series.stats.clone());
        Some(Final { split, stats, loss: last.loss, accuracy: last.accuracy })
    }

    /// Accuracy under batch statistics minus that under the method's own rule.
    pub fn gap(&self, split: &str) -> Option<f64> {
        let accuracy = |stats| self.score(split, stats).and_then(|score| score.accuracy);
        let both = || {
            let batch = self.score(split, Some("batch")).filter(|score| score.stats == "batch")?;
            Some(batch.accuracy? - accuracy(None)?)
        };
        both().or_else(|| self.measured.get("gap").copied().filter(|_| split == "test"))
    }

    /// Training images per second in the last epoch.
    pub fn images_per_s(&self) -> Option<f64> {
        let last = || self.series("train", None)?.points.last()?.images_per_s;
        self.measured.get("images_per_s").copied().or_else(last)
    }

    /// Seconds it took.
    pub fn seconds(&self) -> Option<f64> {
        let last = || self.series.iter().filter_map(|series| series.points.last()?.seconds).reduce(f64::max);
        self.measured.get("seconds").copied().or_else(last)
    }

    /// Whether `other` can be a record of the same run: nothing that both know differs.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
        same(&self.dataset, &other.dataset)
            && same(&self.model, &other.model)
            && same(&self.norm, &other.norm)
            && self.double_forward == other.double_forward
            && self.batch_size == other.batch_size
            && self.norm_batch_size == other.norm_batch_size
            && (self.seed.is_none() || other.seed.is_none() || self.seed == other.seed)
    }
}

/// The entry of `split` under `stats`; without that, under the method's own rule. A method without batch statistics has
/// one way to infer (`sample`), whatever is asked for.
fn pick<'a, T>(all: &'a [T], split: &str, stats: Option<&str>, of: fn(&T) -> (&String, &String)) -> Option<&'a T> {
    let here = || all.iter().filter(|entry| of(entry).0 == split);
    let named = |wanted: &str| here().find(|entry| of(entry).1 == wanted);
    match stats {
        Some(wanted) => named(wanted).or_else(|| named("sample")),
        None if split == "train" => here().next(),
        None => here().find(|entry| !BESIDE.contains(&of(entry).1.as_str())),
    }
}
