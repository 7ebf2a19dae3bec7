//! The scores of a network whose weights are noisy: with the statistics it was trained with, and recalibrated.
//!
//! Noise on the weights shifts what layers see. Statistics re-estimated under the noise, without training, undo much of
//! that (Tsai et al., "Robust Processing-In-Memory Neural Networks via Noise-Aware Normalization", 2020; Shomron & Weiser,
//! "Post-Training BatchNorm Recalibration", arXiv 2010.05625).

use serde::Serialize;

use super::score::{check, finite, re_estimated};
use super::{EvalRequest, Session};
use crate::Result;
use crate::config::Config;
use crate::model::Network;
use crate::record::Stats;
use crate::stats::Sample;
use crate::train::noise::Weights;
use crate::train::{Part, Score, evaluate, precise};

/// Noise to evaluate under.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    /// Its standard deviation, in units of that of each weight tensor.
    pub sd: f64,
    /// Number of draws.
    pub draws: usize,
}

/// Scores under noise.
#[derive(Debug, Clone, Serialize)]
pub struct NoiseReport {
    /// Standard deviation of the noise, in units of that of each weight tensor.
    pub sd: f64,
    /// The scores under the method's own statistics, then under re-estimated ones.
    pub results: Vec<NoiseScores>,
}

/// Scores under one kind of statistics.
#[derive(Debug, Clone, Serialize)]
pub struct NoiseScores {
    /// Statistics that normalized.
    pub stats: String,
    /// Mean cross-entropy in nats.
    pub loss: ScoreSpread,
    /// Fraction of images classified correctly, 0 to 1.
    pub accuracy: ScoreSpread,
    /// The scores draw by draw.
    pub draws: Vec<DrawScore>,
}

/// A score under one draw.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DrawScore {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Fraction of images classified correctly, 0 to 1.
    pub accuracy: f64,
}

/// Mean and standard deviation over draws.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ScoreSpread {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation (denominator n-1); none for a single draw.
    pub sd: Option<f64>,
}

impl ScoreSpread {
    fn of(values: &[f64]) -> Self {
        Sample::of(values).map_or(Self { mean: f64::NAN, sd: None }, |sample| Self { mean: sample.mean, sd: sample.sd })
    }
}

impl NoiseScores {
    fn new(stats: &str, scores: &[Score]) -> Self {
        let over = |of: fn(&Score) -> f64| ScoreSpread::of(&scores.iter().map(of).collect::<Vec<_>>());
        let draws = scores.iter().map(|score| DrawScore { loss: score.loss, accuracy: score.accuracy }).collect();
        Self { stats: stats.into(), loss: over(|s| s.loss), accuracy: over(|s| s.accuracy), draws }
    }
}

/// The scores under every draw; the weights are restored afterwards.
///
/// # Errors
/// Statistics or a loss that become non-finite under the noise.
pub(super) fn score(
    network: &Network,
    session: &Session,
    part: Part,
    config: &Config,
    request: &EvalRequest,
    noise: Noise,
) -> Result<NoiseReport> {
    let (rule, weights) = (network.rule(), Weights::of(network)?);
    let (mut own, mut recalibrated) = (vec![], vec![]);
    for draw in 0..noise.draws {
        weights.disturb(noise.sd, draw)?;
        own.push(finite(evaluate(network, part)?, rule)?);
        if rule != Stats::Sample.name() {
            let statistics = re_estimated(network, session, config, request)?;
            check(network, &statistics, Stats::Precise)?;
            let score = precise::with_statistics(network, &statistics, || evaluate(network, part))?;
            recalibrated.push(finite(score, Stats::Precise.name())?);
        }
    }
    weights.restore()?;
    let mut results = vec![NoiseScores::new(rule, &own)];
    if !recalibrated.is_empty() {
        results.push(NoiseScores::new(Stats::Precise.name(), &recalibrated));
    }
    Ok(NoiseReport { sd: noise.sd, results })
}
