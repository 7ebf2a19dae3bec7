//! Which pass a call belongs to: an argument of every call, never a flag hidden in the layer.

/// The passes of training and inference.
///
/// Only [`Pass::Train`] and [`Pass::Frozen`] are differentiated; networks run every other pass on detached weights, so that no
/// graph is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pass {
    /// The differentiated forward pass: the batch's statistics are taken and remembered.
    Train,
    /// The differentiated forward pass by the statistics of inference, as constants: an affine map, which updates nothing.
    /// Where no statistics are remembered, or inference is more than that map, inference, differentiated.
    Frozen,
    /// Double-Forward's second pass over a batch already trained on, now under the updated weights: the statistics
    /// remembered for it are replaced by fresh ones, which also normalize.
    Refresh {
        /// How many training passes ago that batch was: 0 for the newest, k-1 for the first of k micro-batches.
        age: usize,
    },
    /// The training rule on a batch already trained on (as `Refresh { age: 0 }`), remembering nothing: for diagnostics.
    Probe,
    /// Inference: remembered statistics only.
    Eval,
    /// The batch's own statistics, remembering nothing: for measuring the train/inference gap and for re-estimating
    /// statistics (PreciseBN).
    Batch,
    /// Inference by remembered statistics mixed with each image's own (inference example weighing). As [`Pass::Eval`] where
    /// none are remembered, or inference is more than an affine map.
    Weighed {
        /// The weight of the image's own statistics, 0 to 1.
        weight: f64,
    },
    /// Inference that keeps the moments of each image at each layer ([`super::Affine::seen`]), to estimate statistics from.
    Observe,
}

impl Pass {
    /// The newest batch's refresh, `Refresh { age: 0 }`.
    pub const REFRESH: Self = Self::Refresh { age: 0 };

    /// Whether the pass is differentiated.
    pub fn is_differentiated(self) -> bool {
        matches!(self, Self::Train | Self::Frozen)
    }
}

/// How far training has come: what schedules of normalizers depend on, and how many batches an update takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Updates made before this one.
    pub step: usize,
    /// Updates in total; 0 if unknown.
    pub steps: usize,
    /// Normalization batches per update: how far back refreshes go.
    pub parts: usize,
}

impl Default for Progress {
    /// Unknown progress; refreshes may go back 64 batches.
    fn default() -> Self {
        Self { step: 0, steps: 0, parts: 64 }
    }
}

impl Progress {
    /// The fraction of the training that is done, 0 to 1; 1 if unknown, so that schedules are at their end.
    pub fn part(&self) -> f64 {
        match self.steps {
            0 => 1.0,
            steps => self.step as f64 / steps as f64,
        }
    }

    /// Normalization batches per update; 1 if unknown.
    pub fn batches_per_update(&self) -> usize {
        match self.steps {
            0 => 1,
            _ => self.parts,
        }
    }
}

/// A pass and the training progress at which it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call {
    /// The pass.
    pub pass: Pass,
    /// How far training has come.
    pub progress: Progress,
}

impl From<Pass> for Call {
    fn from(pass: Pass) -> Self {
        Self { pass, progress: Progress::default() }
    }
}
