//! How a sweep is done, where it stands, and who watches it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use super::{Ending, Event, Job};
use crate::record::Summary;

/// How a sweep is done: nothing here changes its results.
pub struct SweepOptions<'a> {
    /// The sweep folder.
    pub out: PathBuf,
    /// Which of the sweep's runs, by position.
    pub selection: Vec<usize>,
    /// Runs at a time.
    pub jobs: usize,
    /// Repeat the runs that failed in an earlier call.
    pub retry_failed: bool,
    /// The command that does a run into `out/runs`; it speaks as [`Event`] says, and reads the configuration as a line
    /// of JSON (a string of TOML) from its stdin, whose end tells it to save and stop.
    pub command: &'a dyn Fn(&Job) -> Command,
    /// Set from outside to end the sweep, its runs saved.
    pub stop: Option<&'static AtomicBool>,
}

/// Where a sweep stands.
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
    /// How much is done of the runs being done, in runs.
    pub under_way: f64,
    /// Not finished because the sweep was told to stop.
    pub stopped: bool,
    /// Seconds left, where that can be told.
    pub left: Option<f64>,
}

impl Tally {
    /// Runs that are over, one way or another.
    pub fn over(&self) -> usize {
        self.done + self.diverged + self.failed + self.died
    }
}

/// Who watches a sweep; nothing it does changes the sweep.
pub trait Observer {
    /// A run begins in a slot (from 0, below the number of jobs).
    fn begin(&mut self, slot: usize, job: &Job);
    /// The run in a slot has something to say.
    fn event(&mut self, slot: usize, job: &Job, event: &Event);
    /// The process in a slot is gone.
    fn end(&mut self, slot: usize, job: &Job, ending: &Ending, summary: Option<&Summary>);
    /// Where the sweep stands now.
    fn tally(&mut self, tally: &Tally);
    /// Something worth knowing happened to the sweep itself.
    fn note(&mut self, text: &str);
}
