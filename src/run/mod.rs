//! A run in its folder: from configuration and data to records, resumable at any point.
//!
//! What is on disk is always consistent: the checkpoint is the truth about how far the run has come, and rows that a
//! killed process wrote beyond it are dropped and written again, with the same bits.

mod begin;
mod device;
mod eval;
mod execute;
mod identity;
mod memory;
mod past;
mod session;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use begin::run;
pub use device::open_device;
pub use eval::{DrawScore, EvalReport, EvalRequest, Noise, NoiseReport, NoiseScores, ScoreSpread, evaluate_checkpoint};
pub use session::Session;

use crate::data::Source;
use crate::record::{MetricRow, Summary};
use crate::train::StepReport;

/// What a run needs to know beside its configuration: nothing here changes its numbers.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Folder that holds the run's own.
    pub out: PathBuf,
    /// Where data sets are looked for.
    pub source: Source,
    /// Discard what an earlier attempt left.
    pub fresh: bool,
    /// Refuse to begin: there must be something to resume.
    pub must_resume: bool,
    /// Set aside damaged files that an earlier attempt left (`NAME.damaged`) and start over, rather than refuse.
    pub recover: bool,
    /// Time between checkpoints inside an epoch.
    pub checkpoint_every: Duration,
    /// Set from outside to end the run after the current step, saved.
    pub stop: Option<&'static AtomicBool>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            out: "results/runs".into(),
            source: Source::default(),
            fresh: false,
            must_resume: false,
            recover: false,
            checkpoint_every: Duration::from_secs(60),
            stop: None,
        }
    }
}

/// How a call of [`run`] ended.
#[derive(Debug)]
pub enum Outcome {
    /// Trained to the end, now or (`already`) in an earlier call.
    Done {
        /// The run's folder.
        dir: PathBuf,
        /// Its results.
        summary: Box<Summary>,
        /// Nothing was computed: the run had been finished before.
        already: bool,
    },
    /// Stopped from outside; the next call continues.
    Interrupted {
        /// The run's folder.
        dir: PathBuf,
        /// Updates made so far.
        step: usize,
    },
}

/// Who watches a run: progress bars, logs. Nothing it does changes the run.
pub trait Watcher {
    /// Training begins, or continues at `epoch` (completed ones) of `epochs`.
    fn start(&mut self, plan: &RunPlan);
    /// Something worth knowing happened.
    fn note(&mut self, text: &str);
    /// A step of `epoch` (from 1) is done, `batch` (from 1) of the epoch's.
    fn step(&mut self, epoch: usize, batch: usize, report: &StepReport);
    /// An epoch is done and recorded.
    fn epoch(&mut self, epoch: usize, rows: &[MetricRow]);
}

/// What a run is going to do.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// The run's name.
    pub run: String,
    /// Epochs in all.
    pub epochs: usize,
    /// Updates per epoch.
    pub steps_per_epoch: usize,
    /// Epochs completed before.
    pub epoch: usize,
    /// Batches of the next epoch done before.
    pub batch: usize,
    /// The network's parameters.
    pub parameters: usize,
    /// What a step takes of the memory, at least.
    pub step_bytes: u64,
    /// Training, validation and test images.
    pub image_counts: [usize; 3],
    /// Where the data came from.
    pub origin: String,
    /// Learning rate after scaling to the batch size.
    pub lr: f64,
}
