//! The weight of inference example weighing ([`Pass::Weighed`]), chosen on validation images.

use serde::Serialize;

use super::evaluate::{Part, Score, evaluate_with_pass};
use crate::Result;
use crate::model::Network;
use crate::norm::Pass;

/// The weights tried: 0, and that of one image in batches of 128 down to 1.
pub const WEIGHTS: [f64; 9] = [0.0, 0.0078125, 0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0];

/// A weight and its score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WeightScore {
    /// Weight of each image's own statistics.
    pub weight: f64,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Fraction of correct predictions.
    pub accuracy: f64,
}

/// The weight with the smallest loss on `part`, the smaller one of two equally good, and the scores of all of [`WEIGHTS`]; no
/// weight if no loss is finite.
pub fn choose(network: &Network, part: Part) -> Result<(Option<f64>, Vec<WeightScore>)> {
    let tried = WEIGHTS.iter().map(|&weight| {
        let Score { loss, accuracy, .. } = evaluate_with_pass(network, part, Pass::Weighed { weight })?;
        Ok(WeightScore { weight, loss, accuracy })
    });
    let tried = tried.collect::<Result<Vec<_>>>()?;
    let finite = tried.iter().filter(|tried| tried.loss.is_finite());
    Ok((finite.min_by(|a, b| a.loss.total_cmp(&b.loss)).map(|best| best.weight), tried))
}
