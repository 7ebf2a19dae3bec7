//! Which of the two batch sizes a comparison varies.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::report::read::Run;

/// The quantity on the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchSizeAxis {
    /// Images per update.
    BatchSize,
    /// Images whose statistics are taken together, at a fixed batch size.
    NormBatchSize,
}

impl BatchSizeAxis {
    /// The value of `run`.
    pub fn of(self, run: &Run) -> usize {
        match self {
            Self::BatchSize => run.batch_size,
            Self::NormBatchSize => run.norm_batch_size,
        }
    }

    /// Its name in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::BatchSize => "batch size",
            Self::NormBatchSize => "normalization batch size",
        }
    }

    /// What varies among `runs`.
    pub(super) fn choose(runs: &[&Run]) -> Self {
        let count = |x: Self| runs.iter().map(|run| x.of(run)).collect::<BTreeSet<_>>().len();
        if count(Self::BatchSize) == 1 && count(Self::NormBatchSize) > 1 {
            Self::NormBatchSize
        } else {
            Self::BatchSize
        }
    }
}
