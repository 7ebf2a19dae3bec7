//! What a comparison consists of; its JSON document has these fields.

use serde::Serialize;

use super::group::Group;
use super::horizontal::BatchSizeAxis;
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
    /// Mean, interval and number of the runs; none where no finished run has a value.
    #[serde(flatten)]
    pub sample: Option<Sample>,
    /// Diverged runs; not in the mean, unless counted at chance level.
    pub diverged: usize,
    /// Runs stopped by an error; not in the mean.
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
    /// Where `cells` are under each method's own inference statistics: the same scores under others (`precise`, `weighing`,
    /// `evalnorm`), where they were measured. They take no part in comparisons.
    pub post_hoc: Vec<PostHocScore>,
}

/// A score under statistics other than the method's own.
#[derive(Debug, Clone, Serialize)]
pub struct PostHocScore {
    /// Which statistics.
    pub stats: Stats,
    /// The score.
    #[serde(flatten)]
    pub score: MethodScore,
}

/// A run without final scores, which is in no table.
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
    /// Whether the number of epochs depends on the batch size.
    pub epochs_by_size: bool,
    /// The split that scores are compared on.
    pub split: Split,
    /// The statistics that scores are compared under; none for each method's own rule.
    pub stats: Option<Stats>,
    /// Which batch size varies in this section.
    pub x: BatchSizeAxis,
    /// Where [`BatchSizeAxis::NormBatchSize`] varies: the batch size of all runs.
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
    /// One per data set, network and number of epochs; one where the number of epochs depends on the batch size.
    pub sections: Vec<Section>,
    /// Remarks on the files and on the comparison.
    pub notes: Vec<Note>,
    /// The runs.
    #[serde(skip)]
    pub runs: Vec<Run>,
}
