//! A run in its folder: from configuration and data to records, resumable at any point.
//!
//! What is on disk is always consistent: the checkpoint determines how far the run has come, and rows that a killed
//! process wrote beyond it are dropped and written again, with the same bits.

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

/// Options of a run beside its configuration; none of them changes its results.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Folder that holds the run folders.
    pub out: PathBuf,
    /// Where data sets are looked for.
    pub source: Source,
    /// Discard the files of an earlier attempt.
    pub fresh: bool,
    /// Fail if there is no checkpoint to resume from.
    pub must_resume: bool,
    /// Rename damaged files of an earlier attempt to `NAME.damaged` and start over, instead of failing.
    pub recover: bool,
    /// Time between checkpoints within an epoch.
    pub checkpoint_every: Duration,
    /// Set from outside to save the run and stop after the current step.
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

/// Receives the events of a run, for progress bars and logs; it does not affect the run.
pub trait Watcher {
    /// Training starts or resumes.
    fn start(&mut self, plan: &RunPlan);
    /// A note for the user.
    fn note(&mut self, text: &str);
    /// Step `batch` (from 1) of `epoch` (from 1) is done.
    fn step(&mut self, epoch: usize, batch: usize, report: &StepReport);
    /// An epoch is done and recorded.
    fn epoch(&mut self, epoch: usize, rows: &[MetricRow]);
}

/// The extent of a run and where it starts or resumes.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// The run's name.
    pub run: String,
    /// Epochs in all.
    pub epochs: usize,
    /// Updates per epoch.
    pub steps_per_epoch: usize,
    /// Epochs already completed.
    pub epoch: usize,
    /// Batches of the next epoch already done.
    pub batch: usize,
    /// Number of the network's parameters.
    pub parameters: usize,
    /// Lower bound on the memory of a step, in bytes.
    pub step_bytes: u64,
    /// Numbers of training, validation and test images.
    pub image_counts: [usize; 3],
    /// Where the data came from.
    pub origin: String,
    /// Learning rate after scaling to the batch size.
    pub lr: f64,
}
