//! The batch statistics that a normalizer keeps, in one place for reports, re-estimation and checkpoints.

use super::observed::Observation;
use super::running::{MomentVars, RunningAverage};

/// The part of a normalizer's state that others read and set; see [`super::Norm::batch_statistics`].
pub struct BatchStatistics<'a> {
    /// The statistics of inference.
    pub(super) inference: &'a MomentVars,
    /// The running average of the batches' statistics; may be the same as `inference`.
    pub(super) average: &'a MomentVars,
    pub(super) observed: &'a Observation,
    /// Whether Double-Forward can refresh it.
    pub(super) refreshes: bool,
}

impl<'a> BatchStatistics<'a> {
    /// Of a normalizer whose inference is its running average.
    pub(super) fn average(running: &'a RunningAverage, observed: &'a Observation) -> Self {
        Self { refreshes: true, ..Self::unrefreshed(&running.now, observed) }
    }

    /// Of one whose statistics Double-Forward does not refresh.
    pub(super) fn unrefreshed(stored: &'a MomentVars, observed: &'a Observation) -> Self {
        Self { inference: stored, average: stored, observed, refreshes: false }
    }
}
