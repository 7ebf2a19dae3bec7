//! Loss and accuracy of a network on a part of a data set.

use candle_core::{Device, Tensor};

use super::guard::is_finite;
use super::trainer::{correct, scalar};
use crate::Result;
use crate::data::{Batch, Images, Normalization, gather};
use crate::model::Network;
use crate::norm::{Moments, Pass, is_undefined};
use crate::ops;

/// Images per forward pass where their number has no influence on the result.
pub const EVAL_BATCH: usize = 256;

/// Mean cross-entropy and accuracy over some images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Mean cross-entropy in nats, without label smoothing.
    pub loss: f64,
    /// Fraction of images whose largest logit is their label's.
    pub accuracy: f64,
    /// Images scored.
    pub images: usize,
}

/// Images of a split, by index.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The split.
    pub images: &'a Images,
    /// How pixel bytes become numbers.
    pub normalization: &'a Normalization,
    /// Which of its images, in which order.
    pub indices: &'a [u32],
    /// Where to compute.
    pub device: &'a Device,
}

impl Part<'_> {
    /// The images `from..to` of the part as tensors, not augmented.
    pub fn batch(&self, from: usize, to: usize) -> Result<Batch> {
        Ok(gather(self.images, &self.indices[from..to], self.normalization, None, self.device)?)
    }

    /// The classes, of `classes` in total, of which the part has no image.
    pub fn missing_classes(&self, classes: usize) -> Vec<usize> {
        let mut seen = vec![false; classes];
        for label in self.indices.iter().filter_map(|index| self.images.labels.get(*index as usize)) {
            seen.get_mut(usize::from(*label)).into_iter().for_each(|seen| *seen = true);
        }
        (0..classes).filter(|class| !seen[*class]).collect()
    }
}

/// Scores the network under its inference rule.
pub fn evaluate(network: &Network, part: Part) -> Result<Score> {
    evaluate_with_pass(network, part, Pass::Eval)
}

/// Scores the network in a pass that treats each image independently. The loss is NaN if a [`Pass::Weighed`] had statistics
/// that are not finite: the network would still give a loss, but a meaningless one.
pub fn evaluate_with_pass(network: &Network, part: Part, pass: Pass) -> Result<Score> {
    let mut sum = Sum::default();
    for from in (0..part.indices.len()).step_by(EVAL_BATCH) {
        let to = (from + EVAL_BATCH).min(part.indices.len());
        sum.pass(network, &part.batch(from, to)?, pass)?;
        if matches!(pass, Pass::Weighed { .. }) && !has_finite_statistics(network)? {
            sum.loss = f64::NAN;
        }
    }
    Ok(sum.score())
}

/// Whether the statistics of each image that the last pass normalized by are finite.
fn has_finite_statistics(network: &Network) -> Result<bool> {
    for Moments { mean, var } in network.norms().iter().filter_map(|layer| layer.norm.affine().seen()) {
        if !(is_finite(&mean)? && is_finite(&var)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Scores the network on one batch under its inference rule: one step of [`evaluate`].
pub fn evaluate_batch(network: &Network, batch: &Batch) -> Result<Score> {
    let mut sum = Sum::default();
    sum.pass(network, batch, Pass::Eval)?;
    Ok(sum.score())
}

/// Scores the network under the statistics of consecutive batches of `size` images, to measure the train/inference gap.
/// None where the statistics are undefined (one value per channel).
///
/// An incomplete last batch is filled with the images before it, which are not scored again.
pub fn evaluate_batch_statistics(network: &Network, part: Part, size: usize) -> Result<Option<Score>> {
    let total = part.indices.len();
    let size = size.min(total);
    let mut sum = Sum::default();
    for from in (0..total).step_by(size.max(1)) {
        let start = from.min(total - size);
        let batch = part.batch(start, start + size)?;
        let logits = match network.forward(&batch.x, Pass::Batch) {
            Err(error) if is_undefined(&error) => return Ok(None),
            logits => logits?,
        };
        let new = start + size - from;
        sum.add(&logits.narrow(0, size - new, new)?, &batch.y.narrow(0, size - new, new)?)?;
    }
    Ok(Some(sum.score()))
}

#[derive(Default)]
struct Sum {
    loss: f64,
    correct: usize,
    images: usize,
}

impl Sum {
    fn pass(&mut self, network: &Network, batch: &Batch, pass: Pass) -> Result<()> {
        self.add(&network.forward(&batch.x, pass)?, &batch.y)
    }

    fn add(&mut self, logits: &Tensor, labels: &Tensor) -> Result<()> {
        let images = logits.dim(0)?;
        self.loss += scalar(&ops::cross_entropy(logits, labels, 0.0)?)? * images as f64;
        self.correct += correct(logits, labels)?;
        self.images += images;
        Ok(())
    }

    fn score(&self) -> Score {
        let n = self.images.max(1) as f64;
        Score { loss: self.loss / n, accuracy: self.correct as f64 / n, images: self.images }
    }
}
