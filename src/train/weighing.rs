//! The weight of inference example weighing ([`Pass::Weighed`]), chosen on validation images.

use serde::Serialize;

use super::evaluate::{Part, Score, evaluate_under};
use crate::Result;
use crate::model::Network;
use crate::norm::Pass;

/// The weights tried: none, and the share of one image in batches of 128 down to 1.
pub const WEIGHTS: [f64; 9] = [0.0, 0.0078125, 0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0];

/// A weight, and the score with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WeightScore {
    /// Of each image's own statistics.
    pub weight: f64,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of correct answers.
    pub accuracy: f64,
}

/// Scores every weight of [`WEIGHTS`].
pub fn try_weights(network: &Network, part: Part) -> Result<Vec<WeightScore>> {
    let tried = WEIGHTS.iter().map(|&weight| {
        let Score { loss, accuracy, .. } = evaluate_under(network, part, Pass::Weighed { weight })?;
        Ok(WeightScore { weight, loss, accuracy })
    });
    tried.collect()
}

/// The one with the least loss, the smaller weight where two are as good; none where no loss is finite.
pub fn best(tried: &[WeightScore]) -> Option<WeightScore> {
    tried.iter().copied().filter(|tried| tried.loss.is_finite()).min_by(|a, b| a.loss.total_cmp(&b.loss))
}
