//! Training: one step (with Double-Forward), optimizer, schedule, evaluation, re-estimation, diagnostics, checkpoints.

mod checkpoint;
mod diagnostics;
mod evaluate;
mod guard;
pub mod precise;
mod schedule;
mod sgd;
mod trainer;

pub use checkpoint::{Checkpoint, Position};
pub use diagnostics::{divergence, mean_shift, Before, ShiftRow};
pub use evaluate::{evaluate, evaluate_batch, evaluate_batch_statistics, Part, Score, EVAL_BATCH};
pub use guard::is_finite;
pub use schedule::{full_rate, Schedule};
pub use sgd::Sgd;
pub use trainer::{StepReport, Trainer};
