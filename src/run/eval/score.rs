//! The score of a network under the statistics asked for.

use super::Session;
use crate::config::Config;
use crate::model::Network;
use crate::norm::Moments;
use crate::record::Stats;
use crate::train::{self, precise, Part, Score};
use crate::{Error, Result};

/// The score under the wanted statistics, and their name.
///
/// # Errors
/// Statistics that the normalizer does not have, or that are not finite; a loss that is not finite.
pub(super) fn score(
    network: &Network,
    session: &Session,
    part: Part,
    config: &Config,
    wanted: Option<Stats>,
) -> Result<(Score, &'static str)> {
    let rule = network.norms().first().map_or("sample", |layer| layer.norm.rule());
    let Some(wanted) = wanted.filter(|stats| stats.name() != rule) else {
        return Ok((finite(train::evaluate(network, part)?, rule)?, rule));
    };
    if rule == "sample" {
        let (norm, stats) = (&config.norm, wanted.name());
        return Err(Error::config(format!(
            "--stats {stats}: `{norm}` has no batch statistics, every image is normalized alone; leave out --stats"
        )));
    }
    let statistics: Vec<Option<Moments>> = match wanted {
        Stats::Sample => {
            let norm = &config.norm;
            return Err(Error::config(format!(
                "--stats sample: `{norm}` takes its statistics over batches, not single images"
            )));
        }
        Stats::Memory => {
            return Err(Error::config(format!(
                "--stats memory: `{}` has no memory; its own rule is {rule}",
                config.norm
            )))
        }
        Stats::Batch => {
            let undefined = || Error::config("--stats batch: one value per channel has no batch statistics");
            let score = train::evaluate_batch_statistics(network, part, config.norm_batch_size)?;
            let observed = network.norms().iter().map(|layer| layer.norm.observed().map(|seen| seen.batch));
            check(network, &observed.collect::<Vec<_>>(), wanted)?;
            return Ok((finite(score.ok_or_else(undefined)?, wanted.name())?, wanted.name()));
        }
        Stats::Ema => {
            if let Some(layer) =
                network.norms().iter().find(|l| !network.store().was_given(&format!("{}.ema_mean", l.name)))
            {
                let name = format!("{}.ema_mean", layer.name);
                return Err(Error::config(format!("--stats ema: the checkpoint has no tensor `{name}`")));
            }
            network.norms().iter().map(|layer| layer.norm.ema()).collect()
        }
        Stats::Precise => precise::population(network, session.sampled(&session.sample(config.precise_examples)))?,
    };
    check(network, &statistics, wanted)?;
    precise::set(network, &statistics)?;
    Ok((finite(train::evaluate(network, part)?, wanted.name())?, wanted.name()))
}

/// Statistics that are not finite normalize nothing: what comes out of them would still have a score.
fn check(network: &Network, statistics: &[Option<Moments>], stats: Stats) -> Result<()> {
    match precise::first_not_finite(network, statistics)? {
        Some(layer) => Err(not_finite(&format!("`{layer}`"), stats.name())),
        None => Ok(()),
    }
}

fn finite(score: Score, stats: &str) -> Result<Score> {
    match score.loss.is_finite() {
        true => Ok(score),
        false => Err(not_finite("the loss", stats)),
    }
}

fn not_finite(what: &str, stats: &str) -> Error {
    Error::NonFinite { what: what.into(), stats: stats.into() }
}
