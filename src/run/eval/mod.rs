//! Evaluating a checkpoint under statistics of the user's choice.

mod dump;
mod network;
mod noise;
mod score;
mod subject;

use std::path::PathBuf;

use serde::Serialize;
use toml::Table;

pub use self::noise::{DrawScore, Noise, NoiseReport, NoiseScores, ScoreSpread};
use self::score::StatsScore;
use self::subject::Subject;
use super::session::check_task;
use super::{Session, identity};
use crate::config::Config;
use crate::data::Source;
use crate::norm::Pass;
use crate::record::{self, Split, Stats};
use crate::train::Score;
use crate::train::weighing::WeightScore;
use crate::{Error, Result};

/// What to evaluate.
#[derive(Debug, Clone)]
pub struct EvalRequest {
    /// A run folder or a checkpoint file.
    pub path: PathBuf,
    /// Settings that override the checkpoint's, or supply what it does not record, as `key=value`.
    pub settings: Vec<String>,
    /// Settings that override both (model, norm, data set, device, limits), by key.
    pub overrides: Table,
    /// Where data sets are looked for.
    pub source: Source,
    /// The split to evaluate on.
    pub split: Split,
    /// The statistics to normalize with; none: the method's own.
    pub stats: Option<Stats>,
    /// With [`Stats::Weighing`], the weight of each image's own statistics; none: the best on validation images.
    pub weight: Option<f64>,
    /// Re-estimate statistics layer by layer, each layer's after those of the layers before it.
    pub layer_by_layer: bool,
    /// Also score the network with noise on its weights, under its own statistics and re-estimated ones.
    pub noise: Option<Noise>,
    /// Also write the first 64 images and their logits to this safetensors file.
    pub dump: Option<PathBuf>,
}

impl EvalRequest {
    /// Whether statistics are estimated over training images.
    pub(super) fn re_estimates(&self) -> bool {
        self.noise.is_some() || matches!(self.stats, Some(Stats::Precise | Stats::Evalnorm))
    }

    /// What needs the run's own split of the training images, if anything does, and the way to do without.
    fn needs_split(&self) -> Option<[&'static str; 2]> {
        match (self.split, self.stats, self.weight) {
            (Split::Val, ..) => Some(["--split val", "use --split test"]),
            (Split::Train, ..) => Some(["--split train", "use --split test"]),
            (Split::Test, Some(Stats::Weighing), None) => {
                Some(["--stats weighing without --weight", "give a weight with --weight"])
            }
            (Split::Test, ..) => None,
        }
    }

    /// Whether the score depends on the normalization batch size.
    pub(super) fn takes_batches(&self) -> bool {
        matches!(self.stats, Some(Stats::Batch | Stats::Evalnorm))
    }
}

/// The result of an evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct EvalReport {
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// Data set.
    pub dataset: String,
    /// Network.
    pub model: String,
    /// Normalizer.
    pub norm: String,
    /// Split: `test`, `val` or `train`.
    pub split: String,
    /// Statistics that normalized.
    pub stats: String,
    /// The weight of each image's own statistics, where they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The weights that were tried on validation images to choose it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<WeightScore>,
    /// Number of images.
    pub images: usize,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Fraction of images classified correctly, 0 to 1.
    pub accuracy: f64,
    /// Scores with noise on the weights, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseReport>,
    /// Digest of the data.
    pub data_digest: String,
    /// Commit of the program that evaluated, if it was built in a checkout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<&'static str>,
    /// What was done to the checkpoint to read it, and remarks on the data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Evaluates a checkpoint; nothing in its folder is changed.
///
/// # Errors
/// A checkpoint that is missing, damaged, does not fit its network or holds non-finite values (the message names the
/// tensor or field); statistics that the normalizer does not have; a setting without effect, or one that would change
/// the run's split; a dump file that exists already; data or a device that cannot be used.
pub fn evaluate_checkpoint(request: &EvalRequest) -> Result<EvalReport> {
    request.dump.iter().try_for_each(|path| dump::check(path))?;
    let mut subject = Subject::read(request)?;
    let session = Session::open_for_evaluation(&subject.config, &request.source)?;
    if subject.checkpoint.is_own() {
        check_task(&subject.path, subject.checkpoint.task(&subject.path)?, session.task())?;
    }
    let odd = identity::notes(&subject.config, &session, request.needs_split())?;
    let (network, mut notes) = network::build(&mut subject, session.task(), &session.device, request.stats)?;
    let Subject { path, config, notes: overridden, .. } = subject;
    notes.extend(overridden);
    let split = request.split;
    let part = match split {
        Split::Test => session.test(),
        Split::Val => session.val(),
        Split::Train => session.train(),
    };
    if part.indices.is_empty() {
        return Err(Error::config(format!("--split {split}: there are no {split} images; choose another --split")));
    }
    let StatsScore { score, stats, pass, tried: weights } = score::score(&network, &session, part, &config, request)?;
    if let Some(dump) = &request.dump {
        dump::write(&network, part, pass, dump)?;
    }
    let under = |noise| noise::score(&network, &session, part, &config, request, noise);
    let noise = request.noise.map(under).transpose()?;
    notes.extend(odd);
    if split == Split::Val && !weights.is_empty() {
        notes.push(
            "the weight was chosen on the same validation images, so their score is optimistic; use --split test"
                .to_string(),
        );
    }
    let data_digest = session.dataset.digest.clone();
    let Config { dataset, model, norm, .. } = config;
    let (split, stats) = (split.to_string(), stats.to_string());
    let Score { loss, accuracy, images } = score;
    let weight = if let Pass::Weighed { weight } = pass { Some(weight) } else { None };
    Ok(EvalReport {
        checkpoint: path,
        dataset,
        model,
        norm,
        split,
        stats,
        weight,
        weights,
        images,
        loss,
        accuracy,
        noise,
        data_digest,
        commit: record::commit(),
        notes,
    })
}
