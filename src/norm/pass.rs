//! Which pass a layer is part of: said at every call, never a flag hidden in the layer.

/// The passes of training and inference.
///
/// Only [`Pass::Train`] is differentiated; networks run every other pass on detached weights, so that no graph is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The differentiated forward pass: the batch's statistics are taken and remembered.
    Train,
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
}

impl Pass {
    /// The newest batch's refresh, `Refresh { age: 0 }`.
    pub const REFRESH: Self = Self::Refresh { age: 0 };

    /// Whether gradients are wanted.
    pub fn is_differentiated(self) -> bool {
        self == Self::Train
    }
}
