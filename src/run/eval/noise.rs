//! The scores of a network whose weights are noisy: with the statistics it was trained with, and recalibrated.
//!
//! Noise on the weights shifts what layers see. Statistics re-estimated under the noise, without training, take much of that
//! back (Tsai et al., "Robust Processing-In-Memory Neural Networks via Noise-Aware Normalization", 2020; Shomron & Weiser,
//! "Post-Training BatchNorm Recalibration", arXiv 2010.05625).

use serde::Serialize;

use super::score::{check, finite, re_estimated, rule_of};
use super::{EvalRequest, Session};
use crate::Result;
use crate::config::Config;
use crate::model::Network;
use crate::record::Stats;
use crate::train::noise::Weights;
use crate::train::{Part, Score, evaluate, precise};

/// Noise to evaluate under.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    /// Its standard deviation, in those of each weight tensor.
    pub sd: f64,
    /// How many times it is drawn.
    pub draws: usize,
}

/// Scores under noise.
#[derive(Debug, Clone, Serialize)]
pub struct NoiseReport {
    /// Standard deviation of the noise, in those of each weight tensor.
    pub sd: f64,
    /// The method's own statistics, then re-estimated ones.
    pub results: Vec<NoiseScores>,
}

/// Those under one kind of statistics.
#[derive(Debug, Clone, Serialize)]
pub struct NoiseScores {
    /// Statistics that normalized.
    pub stats: String,
    /// Mean cross-entropy in nats.
    pub loss: ScoreSpread,
    /// Share of correct answers.
    pub accuracy: ScoreSpread,
    /// Draw by draw.
    pub draws: Vec<DrawScore>,
}

/// A score under one draw.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DrawScore {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of correct answers.
    pub accuracy: f64,
}

/// Mean and standard deviation over draws; one has none.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ScoreSpread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation, n-1 below the line.
    pub sd: Option<f64>,
}

impl ScoreSpread {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        Self { mean, sd: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()) }
    }
}

impl NoiseScores {
    fn new(stats: &str, scores: &[Score]) -> Self {
        let over = |of: fn(&Score) -> f64| ScoreSpread::of(&scores.iter().map(of).collect::<Vec<_>>());
        let draws = scores.iter().map(|score| DrawScore { loss: score.loss, accuracy: score.accuracy }).collect();
        Self { stats: stats.into(), loss: over(|s| s.loss), accuracy: over(|s| s.accuracy), draws }
    }
}

/// The scores under every draw; the weights are left as they were.
///
/// # Errors
/// Statistics or a loss that the noise made overflow.
pub(super) fn score(
    network: &Network,
    session: &Session,
    part: Part,
    config: &Config,
    request: &EvalRequest,
    noise: Noise,
) -> Result<NoiseReport> {
    let (rule, weights) = (rule_of(network), Weights::of(network)?);
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
