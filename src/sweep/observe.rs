//! Options of a sweep, its progress, and who observes it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use super::{Ending, Event, Job};
use crate::record::Summary;

/// Options of a sweep; none of them changes its results.
pub struct SweepOptions<'a> {
    /// The sweep folder.
    pub out: PathBuf,
    /// Positions (from 0) of the runs to train.
    pub selection: Vec<usize>,
    /// Number of runs in parallel.
    pub jobs: usize,
    /// Repeat the runs that failed in an earlier call.
    pub retry_failed: bool,
    /// The command that trains a run into `out/runs`: it reads the configuration as a line of JSON (a string of TOML) from
    /// stdin, writes an [`Event`] per line to stdout, and saves and stops when stdin ends.
    pub command: &'a dyn Fn(&Job) -> Command,
    /// Set from outside to save the runs and stop the sweep.
    pub stop: Option<&'static AtomicBool>,
}

/// Progress of a sweep, in numbers of runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Runs asked for.
    pub total: usize,
    /// Finished, now or earlier.
    pub done: usize,
    /// Became non-finite, now or earlier.
    pub diverged: usize,
    /// Stopped by an error, now or earlier.
    pub failed: usize,
    /// Died in this call; they can be resumed.
    pub died: usize,
    /// Completed part of the runs in progress, as a number of runs.
    pub under_way: f64,
    /// Whether runs are unfinished because the sweep was told to stop.
    pub stopped: bool,
    /// Seconds left, where they can be estimated.
    pub left: Option<f64>,
}

impl Tally {
    /// Runs that are over, one way or another.
    pub fn over(&self) -> usize {
        self.done + self.diverged + self.failed + self.died
    }
}

/// Receives the events of a sweep; it does not affect the sweep.
pub trait Observer {
    /// A run starts in a slot (from 0, below the number of jobs).
    fn begin(&mut self, slot: usize, job: &Job);
    /// The run in a slot reports an event.
    fn event(&mut self, slot: usize, job: &Job, event: &Event);
    /// The process in a slot has ended.
    fn end(&mut self, slot: usize, job: &Job, ending: &Ending, summary: Option<&Summary>);
    /// The progress of the sweep has changed.
    fn tally(&mut self, tally: &Tally);
    /// A note on the sweep itself, for the user.
    fn note(&mut self, text: &str);
}
