//! What a normalizer keeps of the batches it has seen, named once: reports, re-estimation and checkpoints go by that.

use super::observed::Observation;
use super::running::{RunningAverage, Stored};

/// The part of a normalizer's state that others read and set; see [`super::Norm::kept`].
pub struct Kept<'a> {
    /// The statistics of inference.
    pub(super) inference: &'a Stored,
    /// The running average of the batches' statistics, beside or as those.
    pub(super) average: &'a Stored,
    pub(super) observed: &'a Observation,
}

impl<'a> Kept<'a> {
    /// Of a normalizer whose inference is its running average.
    pub(super) fn average(running: &'a RunningAverage, observed: &'a Observation) -> Self {
        Self { inference: &running.now, average: &running.now, observed }
    }
}
