//! Training: the step (with Double-Forward), optimizers, learning-rate schedule, evaluation, re-estimation of statistics,
//! diagnostics, checkpoints.

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

pub(crate) use checkpoint::TRAIN;
pub use checkpoint::{Checkpoint, Position};
pub use diagnostics::{PreUpdateMoments, ShiftRow, divergence};
pub use evaluate::{EVAL_BATCH, Part, Score, evaluate, evaluate_batch, evaluate_batch_statistics, evaluate_with_pass};
pub use guard::{is_finite, is_never_negative};
pub use optimizer::{OPTIMIZERS, Optimizer};
pub use schedule::{Schedule, full_rate};
pub use trainer::{StepReport, Trainer};
