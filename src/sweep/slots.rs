//! Runs that wait and runs in progress, and how long they will take.

use std::time::Instant;

use super::worker::Worker;
use super::{Estimate, Job};
use crate::record::Summary;

/// A run to train. A failed one is repeated only if its summary is still `failure`; otherwise another sweep has repeated
/// it.
pub(super) struct OpenRun {
    pub(super) index: usize,
    pub(super) failure: Option<Box<Summary>>,
}

/// A run in progress.
pub(super) struct BusySlot {
    pub(super) run: OpenRun,
    pub(super) worker: Option<Worker>,
    pub(super) begun: Instant,
    /// The fraction that was done at the start and the one done now, once they are known.
    pub(super) parts: Option<(f64, f64)>,
}

impl BusySlot {
    /// Records that `done` of `total` steps are done.
    pub(super) fn advance(&mut self, done: usize, total: usize) {
        let part = done as f64 / total.max(1) as f64;
        self.parts = Some((self.parts.map_or(part, |(first, _)| first), part));
    }

    /// The fraction of the run that is done.
    pub(super) fn done(&self) -> f64 {
        self.parts.map_or(0.0, |(_, now)| now)
    }
}

/// Seconds until the end, at the speed of the finished runs that `finished` knows of; before there are any, at that of
/// the runs in progress.
pub(super) fn time_left<'a>(
    jobs: &[Job],
    finished: &Estimate,
    waiting: impl Iterator<Item = &'a OpenRun>,
    slots: &[Option<BusySlot>],
) -> Option<f64> {
    let mut guess = Estimate::default();
    for slot in slots.iter().flatten() {
        if let Some((first, now)) = slot.parts.filter(|(first, now)| now > first) {
            guess.learn(&jobs[slot.run.index], slot.begun.elapsed().as_secs_f64() / (now - first));
        }
    }
    let seconds = |run: &OpenRun| {
        let job = &jobs[run.index];
        finished.seconds(job).or_else(|| guess.seconds(job))
    };
    let waiting: f64 = waiting.map(seconds).sum::<Option<f64>>()?;
    let rest = |slot: &BusySlot| Some(seconds(&slot.run)? * (1.0 - slot.done()));
    let running = slots.iter().flatten().map(rest).collect::<Option<Vec<f64>>>()?;
    let longest = running.iter().copied().fold(0.0, f64::max);
    Some(((waiting + running.iter().sum::<f64>()) / slots.len() as f64).max(longest))
}
