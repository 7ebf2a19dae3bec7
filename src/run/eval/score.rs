//! The score of a network under the statistics asked for.

use super::{EvalRequest, Session};
use crate::config::Config;
use crate::model::Network;
use crate::norm::{Moments, Pass};
use crate::record::Stats;
use crate::train::weighing::{self, WeightScore};
use crate::train::{self, Part, Score, observe, precise};
use crate::{Error, Result};

/// A score, and what it was measured under.
pub(super) struct StatsScore {
    pub score: Score,
    /// Name of the statistics.
    pub stats: &'static str,
    /// The pass that was scored.
    pub pass: Pass,
    /// The weights that were tried on validation images, if one had to be chosen.
    pub tried: Vec<WeightScore>,
}

/// The score under the statistics asked for, which the network keeps.
///
/// # Errors
/// Statistics that the normalizer does not have, or that are not finite; a loss that is not finite.
pub(super) fn score(
    network: &Network,
    session: &Session,
    part: Part,
    config: &Config,
    request: &EvalRequest,
) -> Result<StatsScore> {
    let rule = network.rule();
    let Some(wanted) = request.stats.filter(|stats| stats.name() != rule) else {
        return scored(network, part, rule, Pass::Eval);
    };
    let refused = |why: String| Err(Error::config(format!("--stats {wanted}: {why}")));
    let norm = &config.norm;
    if rule == "sample" {
        return refused(format!("`{norm}` takes no statistics over batches; leave out --stats"));
    }
    match wanted {
        Stats::Sample => return refused(format!("`{norm}` takes its statistics over batches, not single images")),
        Stats::Memory => return refused(format!("`{norm}` has no memory; its own rule is {rule}")),
        Stats::Batch => return under_batches(network, part, config.norm_batch_size),
        Stats::Weighing => return weighed(network, session, part, request.weight),
        Stats::Ema => set(network, &averages(network)?, wanted)?,
        Stats::Precise => set(network, &re_estimated(network, session, config, request)?, wanted)?,
        Stats::Evalnorm => return as_in_batches(network, session, part, config),
    }
    scored(network, part, wanted.name(), Pass::Eval)
}

/// The score in a pass that treats every image by itself.
fn scored(network: &Network, part: Part, stats: &'static str, pass: Pass) -> Result<StatsScore> {
    let score = finite(train::evaluate_with_pass(network, part, pass)?, stats)?;
    Ok(StatsScore { score, stats, pass, tried: vec![] })
}

fn under_batches(network: &Network, part: Part, size: usize) -> Result<StatsScore> {
    let stats = Stats::Batch.name();
    let score = train::evaluate_batch_statistics(network, part, size)?;
    let observed = network.norms().iter().map(|layer| layer.norm.observed().map(|seen| seen.batch));
    check(network, &observed.collect::<Vec<_>>(), Stats::Batch)?;
    let score = score.ok_or_else(|| {
        Error::config("--stats batch: one value per channel has no batch statistics; use a larger batch size")
    })?;
    Ok(StatsScore { score: finite(score, stats)?, stats, pass: Pass::Batch, tried: vec![] })
}

/// The score under `weight`, or else under the best one on validation images.
fn weighed(network: &Network, session: &Session, part: Part, weight: Option<f64>) -> Result<StatsScore> {
    let stats = Stats::Weighing.name();
    let (weight, tried) = match weight {
        Some(weight) => (weight, vec![]),
        None => {
            let (best, tried) = weighing::choose(network, session.val())?;
            (best.ok_or_else(|| not_finite("the loss", stats))?, tried)
        }
    };
    Ok(StatsScore { tried, ..scored(network, part, stats, Pass::Weighed { weight })? })
}

/// The score under statistics that normalize as batches of training's size do on average (EvalNorm).
fn as_in_batches(network: &Network, session: &Session, part: Part, config: &Config) -> Result<StatsScore> {
    let sample = session.sample(config.precise_examples);
    let images = session.sampled(&sample);
    let population = precise::population(network, images)?;
    let (statistics, pass) = observe::evalnorm(network, images, &population, config.norm_batch_size)?;
    set(network, &statistics, Stats::Evalnorm)?;
    scored(network, part, Stats::Evalnorm.name(), pass)
}

/// The running averages that the checkpoint holds.
fn averages(network: &Network) -> Result<Vec<Option<Moments>>> {
    let mut names = network.norms().iter().map(|layer| format!("{}.ema_mean", layer.name));
    if let Some(name) = names.find(|name| !network.store().was_given(name)) {
        return Err(Error::config(format!("--stats ema: the checkpoint has no tensor `{name}`")));
    }
    Ok(network.norms().iter().map(|layer| layer.norm.ema()).collect())
}

/// Statistics re-estimated over training images, layer by layer if that was asked for.
pub(super) fn re_estimated(
    network: &Network,
    session: &Session,
    config: &Config,
    request: &EvalRequest,
) -> Result<Vec<Option<Moments>>> {
    let sample = session.sample(config.precise_examples);
    match request.layer_by_layer {
        true => observe::layer_by_layer(network, session.sampled(&sample)),
        false => precise::population(network, session.sampled(&sample)),
    }
}

/// Sets the statistics of the network, which have to be finite.
fn set(network: &Network, statistics: &[Option<Moments>], stats: Stats) -> Result<()> {
    check(network, statistics, stats)?;
    precise::set(network, statistics)
}

/// Refuses non-finite statistics: the network would still give a score, but a meaningless one.
pub(super) fn check(network: &Network, statistics: &[Option<Moments>], stats: Stats) -> Result<()> {
    match precise::first_not_finite(network, statistics)? {
        Some(layer) => Err(not_finite(&format!("`{layer}`"), stats.name())),
        None => Ok(()),
    }
}

pub(super) fn finite(score: Score, stats: &str) -> Result<Score> {
    match score.loss.is_finite() {
        true => Ok(score),
        false => Err(not_finite("the loss", stats)),
    }
}

fn not_finite(what: &str, stats: &str) -> Error {
    Error::NonFinite { what: what.into(), stats: stats.into() }
}
