//! Evaluating a checkpoint under the statistics of one's choice.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::Serialize;
use toml::Table;

use super::session::check_task;
use super::Session;
use crate::config::{Config, Layers};
use crate::data::Source;
use crate::model::{Network, Store};
use crate::norm::{Moments, NormSpec, Pass};
use crate::record::{atomic, Split, Stats, LAST};
use crate::train::{self, precise, Checkpoint, Part, Score};
use crate::{Error, Result};

/// What to evaluate.
#[derive(Debug, Clone)]
pub struct EvalRequest {
    /// A run folder or a checkpoint file.
    pub path: PathBuf,
    /// Settings that override the checkpoint's, or stand in where it has none, as `key=value`.
    pub settings: Vec<String>,
    /// Likewise, over those (model, norm, data set, device, limits).
    pub overrides: Table,
    /// Where data sets are looked for.
    pub source: Source,
    /// Which part of the data set.
    pub split: Split,
    /// Which statistics; none: the method's own.
    pub stats: Option<Stats>,
    /// Also write the first 64 pictures and their logits to this safetensors file.
    pub dump: Option<PathBuf>,
}

/// The result.
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
    /// Part of the data set: `test`, `val`, `train`.
    pub split: String,
    /// Statistics that normalized.
    pub stats: String,
    /// Pictures.
    pub images: usize,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of correct answers.
    pub accuracy: f64,
}

/// Pictures in a dump.
const DUMPED: usize = 64;

/// Evaluates a checkpoint; nothing in its folder is changed.
///
/// # Errors
/// A checkpoint that is missing, damaged or does not fit its network (the message names tensor or field); statistics the
/// normalizer does not have; data or device that cannot be used.
pub fn evaluate_checkpoint(request: &EvalRequest) -> Result<EvalReport> {
    let path = checkpoint_path(&request.path)?;
    let checkpoint = Checkpoint::load(&path, &Device::Cpu)?;
    let config = configuration(&checkpoint, &path, request)?;
    let session = Session::open_for_evaluation(&config, &request.source)?;
    if checkpoint.metadata.contains_key("classes") {
        check_task(&path, checkpoint.task(&path)?, session.task())?;
    }
    let spec = NormSpec::new(&config.norm, &config.norm_params)?;
    let store = Store::from_tensors(checkpoint.tensors);
    let network = Network::new(&config.model, session.task(), &spec, store, DType::F32, &session.device)
        .map_err(|error| Error::checkpoint(&path, error.to_string()))?;
    if let Some(name) = network.store().unused() {
        let why = format!(
            "tensor `{name}` has no place in {} with {}: another network's checkpoint",
            config.model, config.norm
        );
        return Err(Error::checkpoint(&path, why));
    }
    let part = match request.split {
        Split::Test => session.test(),
        Split::Val => session.val(),
        Split::Train => session.train(),
    };
    if part.indices.is_empty() {
        let why = "there are no validation pictures: the run set none aside (val_fraction = 0)";
        return Err(Error::config(why));
    }
    let (score, stats) = score(&network, &session, part, &config, request.stats)?;
    if let Some(dump) = &request.dump {
        let pass = if request.stats == Some(Stats::Batch) { Pass::Batch } else { Pass::Eval };
        write_dump(&network, part, pass, dump)?;
    }
    let Config { dataset, model, norm, .. } = config;
    let (split, stats) = (request.split.to_string(), stats.to_string());
    let Score { loss, accuracy, images } = score;
    Ok(EvalReport { checkpoint: path, dataset, model, norm, split, stats, images, loss, accuracy })
}

/// `last.safetensors` of a run folder, or the file itself.
fn checkpoint_path(path: &Path) -> Result<PathBuf> {
    let file = if path.is_dir() { path.join(LAST) } else { path.to_path_buf() };
    if file.is_file() {
        return Ok(file);
    }
    let why = match path.is_dir() {
        true if path.join("config.toml").is_file() => {
            "no last.safetensors yet: the run diverged or ended before its first"
        }
        true => "no last.safetensors here: not a run folder",
        false => "no such run folder or checkpoint",
    };
    Err(Error::checkpoint(path, why))
}

/// The configuration in the checkpoint's header, or the defaults for one made elsewhere, with the overrides.
fn configuration(checkpoint: &Checkpoint, path: &Path, request: &EvalRequest) -> Result<Config> {
    let mut layers = match checkpoint.metadata.get("config") {
        Some(text) => Layers::new().text(&format!("{} (header)", path.display()), text)?,
        None if request.overrides.contains_key("model") => Layers::new(),
        None => {
            let why =
                "its header holds no configuration (made elsewhere?); say what it is with --model, --norm, --dataset";
            return Err(Error::checkpoint(path, why));
        }
    };
    for assignment in &request.settings {
        layers = layers.set(assignment)?;
    }
    layers.flags(request.overrides.clone()).resolve()
}

/// The score under the wanted statistics, and their name.
fn score(
    network: &Network,
    session: &Session,
    part: Part,
    config: &Config,
    wanted: Option<Stats>,
) -> Result<(Score, &'static str)> {
    let rule = network.norms().first().map_or("sample", |layer| layer.norm.rule());
    let Some(wanted) = wanted.filter(|stats| stats.name() != rule) else {
        return Ok((train::evaluate(network, part)?, rule));
    };
    if rule == "sample" {
        let (norm, stats) = (&config.norm, wanted.name());
        return Err(Error::config(format!(
            "--stats {stats}: `{norm}` has no batch statistics, every picture is normalized alone; leave out --stats"
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
            return Ok((score.ok_or_else(undefined)?, wanted.name()));
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
    precise::set(network, &statistics)?;
    Ok((train::evaluate(network, part)?, wanted.name()))
}

/// `inputs` (N,C,H,W), `logits` (N,classes) and `labels` (N) of the first pictures, for a comparison elsewhere.
fn write_dump(network: &Network, part: Part, pass: Pass, path: &Path) -> Result<()> {
    let batch = part.batch(0, DUMPED.min(part.indices.len()))?;
    let logits = network.forward(&batch.x, pass)?;
    let tensors: HashMap<&str, Tensor> = HashMap::from([("inputs", batch.x), ("logits", logits), ("labels", batch.y)]);
    let bytes = safetensors::serialize(&tensors, None).map_err(|e| Error::checkpoint(path, e.to_string()))?;
    atomic::write(path, &bytes)
}
