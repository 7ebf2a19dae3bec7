//! Which pass a layer is part of: said at every call, never a flag hidden in the layer.

/// The passes of training and inference.
///
/// Only [`Pass::Train`] and [`Pass::Frozen`] are differentiated; networks run every other pass on detached weights, so that no
/// graph is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pass {
    /// The differentiated forward pass: the batch's statistics are taken and remembered.
    Train,
    /// The differentiated forward pass by remembered statistics, constants that it leaves alone: of an affine map. Where
    /// none are remembered, inference, differentiated.
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
    /// The batch's own statistics, remembering nothing: the other side of the train/inference gap, and the pass that
    /// re-estimation (PreciseBN) takes its statistics from.
    Batch,
    /// Inference by remembered statistics mixed with those of each image itself (inference example weighing). As
    /// [`Pass::Eval`] where none are remembered.
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

    /// Whether gradients are wanted.
    pub fn is_differentiated(self) -> bool {
        matches!(self, Self::Train | Self::Frozen)
    }
}

/// How far training has come: what schedules of normalizers depend on, and how many batches an update takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Updates made before this one.
    pub step: usize,
    /// Updates in all; 0 if nobody knows.
    pub steps: usize,
    /// Normalization batches per update: how far back refreshes go.
    pub parts: usize,
}

impl Default for Progress {
    /// Nobody knows: refreshes may go back as far as 64 batches.
    fn default() -> Self {
        Self { step: 0, steps: 0, parts: 64 }
    }
}

impl Progress {
    /// The part of the training that has been done; all of it where nobody knows, so that schedules are at their end.
    pub fn part(&self) -> f64 {
        match self.steps {
            0 => 1.0,
            steps => self.step as f64 / steps as f64,
        }
    }

    /// Normalization batches per update; one where nobody knows.
    pub fn batches_per_update(&self) -> usize {
        match self.steps {
            0 => 1,
            _ => self.parts,
        }
    }
}

/// A pass, and when it is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call {
    /// The pass.
    pub pass: Pass,
    /// When.
    pub progress: Progress,
}

impl From<Pass> for Call {
    fn from(pass: Pass) -> Self {
        Self { pass, progress: Progress::default() }
    }
}
