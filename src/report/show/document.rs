//! What a comparison consists of; its JSON document has these fields.

use serde::Serialize;

use super::group::Group;
use super::horizontal::X;
use super::metric::Metric;
use crate::record::{Split, Stats};
use crate::report::read::{Note, Run};
use crate::stats::Sample;

/// One method at one batch size.
#[derive(Debug, Clone, Serialize)]
pub struct MethodScore {
    /// The batch size, or what else [`Section::x`] says.
    pub x: usize,
    /// The method.
    pub label: String,
    /// Mean, spread and number of the runs; none where none finished with a value.
    #[serde(flatten)]
    pub sample: Option<Sample>,
    /// Diverged runs: never part of the mean, unless they count at chance level.
    pub diverged: usize,
    /// Runs that an error stopped: never part of the mean.
    pub failed: usize,
    /// Whether the interval of its difference to every other method at this batch size excludes 0, in its favour.
    pub best: bool,
    #[serde(skip)]
    pub(super) values: Vec<(Option<u64>, f64)>,
}

/// A method's difference from the baseline on the same seeds.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// The batch size, or what else [`Section::x`] says.
    pub x: usize,
    /// The method.
    pub label: String,
    /// Method minus baseline.
    #[serde(flatten)]
    pub difference: Sample,
}

/// Every cell of one metric.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The metric.
    pub metric: Metric,
    /// By batch size, then by method.
    pub cells: Vec<MethodScore>,
    /// Differences from the baseline.
    pub pairs: Vec<Pair>,
    /// Where `cells` are under each method's own inference statistics: the same under others (`precise`, `weighing`,
    /// `evalnorm`), where they were measured. They are compared with nothing.
    pub post_hoc: Vec<PostHocScore>,
}

/// A score under statistics other than the method's own.
#[derive(Debug, Clone, Serialize)]
pub struct PostHocScore {
    /// Which.
    pub stats: Stats,
    /// The score.
    #[serde(flatten)]
    pub score: MethodScore,
}

/// A run that is in no table: it has no final scores.
#[derive(Debug, Clone, Serialize)]
pub struct UnscoredRun {
    /// The run's name.
    pub run: String,
    /// Its method.
    pub label: String,
    /// Epochs it has completed.
    pub epoch: usize,
    /// Epochs it was to train.
    pub epochs: Option<usize>,
    /// `unfinished`, `diverged` or `failed`.
    pub state: &'static str,
}

/// One data set, network and number of epochs.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    /// Data set.
    pub dataset: String,
    /// Network.
    pub model: String,
    /// Epochs trained, where known.
    pub epochs: Option<usize>,
    /// Whether each batch size has a number of epochs of its own.
    pub epochs_by_size: bool,
    /// The images that count.
    pub split: Split,
    /// The statistics that count; none for each method's own rule.
    pub stats: Option<Stats>,
    /// What the batch sizes in this section are.
    pub x: X,
    /// Where [`X::NormBatchSize`] varies: the batch size of all runs.
    pub batch_size: Option<usize>,
    /// The method that others are compared with.
    pub baseline: Option<String>,
    /// The methods.
    pub groups: Vec<Group>,
    /// One table per metric that was measured.
    pub tables: Vec<Table>,
    /// Runs that are not in the tables.
    pub apart: Vec<UnscoredRun>,
}

/// Everything a report shows.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Version of this package.
    pub version: &'static str,
    /// The metric of the first table.
    pub metric: Metric,
    /// Whether diverged runs count at chance level in accuracy and loss.
    pub diverged_as_chance: bool,
    /// One per data set, network and number of epochs (or one where that belongs to the batch size).
    pub sections: Vec<Section>,
    /// What was odd about the files, and what to keep in mind.
    pub notes: Vec<Note>,
    /// The runs.
    #[serde(skip)]
    pub runs: Vec<Run>,
}
