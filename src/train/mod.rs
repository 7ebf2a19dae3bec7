//! Training: one step (with Double-Forward), optimizers, schedule, evaluation, re-estimation, diagnostics, checkpoints.

mod checkpoint;
mod diagnostics;
mod evaluate;
mod foreign;
mod guard;
pub mod noise;
pub mod observe;
pub mod optimizer;
pub mod precise;
mod schedule;
mod trainer;
pub mod weighing;

pub use checkpoint::{Checkpoint, Position};
pub use diagnostics::{divergence, Before, ShiftRow};
pub use evaluate::{evaluate, evaluate_batch, evaluate_batch_statistics, evaluate_under, Part, Score, EVAL_BATCH};
pub use guard::{is_finite, is_never_negative};
pub use optimizer::{Optimizer, OPTIMIZERS};
pub use schedule::{full_rate, Schedule};
pub use trainer::{StepReport, Trainer};
