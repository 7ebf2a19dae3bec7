//! What a normalizer is to kernels that fuse it with its neighbours: where its statistics come from, and the rest of
//! y = gamma (x - mean)/sqrt(var + eps) + beta.

use candle_core::{Result, Shape, Tensor};

use super::{Moments, Pass};

/// A normalizer of that form, taken apart.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    /// Scale per channel, (C).
    pub gamma: &'a Tensor,
    /// Shift per channel, (C).
    pub beta: &'a Tensor,
    /// Added to the variance under the root.
    pub eps: f64,
    /// Where mean and variance come from.
    pub source: Source<'a>,
}

/// Where mean and variance come from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// One pair per channel for the whole batch.
    Batch(&'a dyn BatchStatistics),
    /// Each sample's own, over groups of channels, with the exact gradient.
    Sample(&'a dyn SampleStatistics),
}

/// A rule that turns a batch's statistics, and what is remembered of others, into those to normalize with.
pub trait BatchStatistics {
    /// Whether that pass looks at the batch.
    fn observes(&self, pass: Pass) -> bool;

    /// The statistics to normalize a batch of shape `x` with, `batch` its own (present if the pass observes);
    /// remembers what the pass says.
    ///
    /// # Errors
    /// A batch whose statistics are undefined.
    fn statistics(&self, batch: Option<Moments>, x: &Shape, pass: Pass) -> Result<Used>;
}

/// A division of the channels into groups that share a mean and a variance within each sample.
pub trait SampleStatistics {
    /// The number of groups for an input of shape `x`; they are of one size.
    ///
    /// # Errors
    /// A group of a single value.
    fn groups(&self, x: &Shape) -> Result<usize>;
}

/// Statistics to normalize with, and how the gradient flows through them: see [`crate::ops::Statistics`].
#[derive(Debug, Clone)]
pub struct Used {
    /// Mean and variance.
    pub moments: Moments,
    /// Mean around which the variance moves with the batch.
    pub center: Tensor,
    /// c, the factor on the projection terms of the gradient.
    pub factor: f64,
}

impl Used {
    /// Statistics of the batch alone: BN's gradient.
    pub fn own(moments: Moments) -> Self {
        Self { center: moments.mean.clone(), moments, factor: 1.0 }
    }

    /// Constants.
    pub fn frozen(moments: Moments) -> Self {
        Self { center: moments.mean.clone(), moments, factor: 0.0 }
    }
}
