//! What is evaluated: a checkpoint and its configuration.

use std::path::{Path, PathBuf};

use candle_core::Device;

use super::EvalRequest;
use crate::config::{Config, Layers};
use crate::norm::NormSpec;
use crate::record::LAST;
use crate::record::{Split, Stats};
use crate::train::Checkpoint;
use crate::{Error, Result, model};

/// Settings that a checkpoint made elsewhere does not record.
const UNRECORDED: [&str; 3] = ["dataset", "model", "norm"];

pub(super) struct Subject {
    pub(super) path: PathBuf,
    pub(super) checkpoint: Checkpoint,
    pub(super) config: Config,
    /// What is evaluated otherwise than the checkpoint records.
    pub(super) notes: Vec<String>,
}

impl Subject {
    /// The checkpoint asked for, under its own configuration with the request's settings over it.
    ///
    /// # Errors
    /// A checkpoint that cannot be read or does not say enough; a setting that has no effect on an evaluation, or would
    /// change the run's split.
    pub(super) fn read(request: &EvalRequest) -> Result<Self> {
        let path = checkpoint_path(&request.path)?;
        let checkpoint = Checkpoint::load(&path, &Device::Cpu)?;
        let mut given = Layers::new();
        for assignment in &request.settings {
            given = given.set(assignment)?;
        }
        given.once()?;
        let given = given.flags(request.overrides.clone());
        let own = match checkpoint.metadata.get("config") {
            Some(text) => Some(Layers::new().text(&format!("{} (header)", path.display()), text)?),
            None => None,
        };
        if own.is_none() {
            if request.split == Split::Val {
                let why = "--split val: the checkpoint was made elsewhere and does not say which images were held out of training";
                return Err(Error::config(why));
            }
            ask(&path, &given)?;
            let sized = given.given().any(|(key, _)| key == "batch_size" || key == "norm_batch_size");
            if request.stats == Some(Stats::Evalnorm) && !sized {
                let why = "--stats evalnorm: the checkpoint was made elsewhere and does not say how many images were \
                           normalized together in training; give --batch-size N";
                return Err(Error::config(why));
            }
        }
        let layers = own.clone().unwrap_or_default().and(&given);
        let all = layers.build()?;
        for (key, origin) in given.given() {
            if let Some(why) = without_effect(&key, request, &all, own.is_none())? {
                return Err(Error::config(format!("{origin}: {why}")));
            }
        }
        let config = layers.resolve()?;
        let own = own.map(|layers| layers.build()).transpose()?;
        check_split(request, own.as_ref(), &config)?;
        check_weight(request, own.as_ref(), &config)?;
        check_noise(request)?;
        if request.re_estimates() && config.precise_examples == 1 {
            return Err(Error::config("precise_examples = 1: a single image is too few to estimate statistics"));
        }
        let notes = own.map_or(Ok(vec![]), |own| overridden(&given, own, &config))?;
        Ok(Self { path, checkpoint, config, notes })
    }
}

/// `last.safetensors` of a run folder, or the file itself.
fn checkpoint_path(path: &Path) -> Result<PathBuf> {
    let file = if path.is_dir() { path.join(LAST) } else { path.to_path_buf() };
    if file.is_file() {
        return Ok(file);
    }
    let why = match path.is_dir() {
        true if path.join("config.toml").is_file() => {
            "no last.safetensors yet: the run diverged or ended before its first checkpoint"
        }
        true => "no last.safetensors here: not a run folder",
        false => "no such run folder or checkpoint",
    };
    Err(Error::checkpoint(path, why))
}

/// A checkpoint made elsewhere must be described in full: nothing about it is guessed.
fn ask(path: &Path, given: &Layers) -> Result<()> {
    let given: Vec<String> = given.given().map(|(key, _)| key).collect();
    let missing: Vec<String> =
        UNRECORDED.iter().filter(|key| !given.iter().any(|k| k == *key)).map(|key| format!("--{key}")).collect();
    let missing = match &missing[..] {
        [] => return Ok(()),
        [one] => one.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    };
    Err(Error::config(format!(
        "{}: made elsewhere, so its header does not say what it is; also give {missing}, as in --dataset cifar10 --model \
         resnet20 --norm bn",
        path.display()
    )))
}

/// Notes on what a checkpoint of this program records about its network, where other values are `given`.
fn overridden(given: &Layers, own: Config, config: &Config) -> Result<Vec<String>> {
    let (recorded, used) = (own.complete()?.flat()?, config.flat()?);
    let of_network = |key: &str| ["model", "norm", "shortcut"].contains(&key) || key.contains('.');
    let note = |(key, origin): (String, &str)| {
        let value = recorded.get(&key).filter(|value| of_network(&key) && used.get(&key) != Some(value))?;
        Some(format!("{origin}: the checkpoint records {key} = {value}, which this overrides"))
    };
    Ok(given.given().filter_map(note).collect())
}

/// Training and validation images are only known by the run's own data set and split.
fn check_split(request: &EvalRequest, own: Option<&Config>, config: &Config) -> Result<()> {
    let why = match (request.split, own) {
        (Split::Test, _) | (_, None) => return Ok(()),
        (_, Some(own)) if own.dataset != config.dataset => {
            let (run, other) = (&own.dataset, &config.dataset);
            format!("the run was trained on {run}, so {other} has only test images for it; use --split test")
        }
        (Split::Val, Some(own)) if own.val_fraction == 0.0 => {
            "--split val: there are no validation images, since the run set none aside (val_fraction = 0)".to_string()
        }
        _ => return Ok(()),
    };
    Err(Error::config(why))
}

/// The weight of images' own statistics must be in [0, 1], or there must be validation images to choose it on.
fn check_weight(request: &EvalRequest, own: Option<&Config>, config: &Config) -> Result<()> {
    if let Some(weight) = request.weight {
        let why = match request.stats == Some(Stats::Weighing) {
            false => "--weight has an effect only with --stats weighing; add that, or leave --weight out".into(),
            true if !(0.0..=1.0).contains(&weight) => format!("--weight {weight}: expected a number from 0 to 1"),
            true => return Ok(()),
        };
        return Err(Error::config(why));
    }
    if request.stats != Some(Stats::Weighing) {
        return Ok(());
    }
    let without = match own {
        None => "the checkpoint, made elsewhere, does not say which images were held out of training",
        Some(own) if own.dataset != config.dataset => "the run set none aside of this data set",
        Some(own) if own.val_fraction == 0.0 => "the run set none aside (val_fraction = 0)",
        Some(_) => return Ok(()),
    };
    Err(Error::config(format!(
        "--stats weighing: the weight is chosen on validation images, and {without}; give a weight with --weight W, such as \
         1/N for normalization batches of N images (a weight chosen on test images would bias their score)"
    )))
}

/// The noise must be in range, and excludes --stats; only re-estimation goes layer by layer.
fn check_noise(request: &EvalRequest) -> Result<()> {
    let why = match (request.noise, request.stats) {
        (Some(noise), _) if !(noise.sd.is_finite() && noise.sd > 0.0) => {
            format!("--weight-noise {}: expected a finite number above 0, in standard deviations of the weights", noise.sd)
        }
        (Some(noise), _) if noise.draws == 0 => "--noise-draws 0: at least 1 is needed".into(),
        (Some(_), Some(stats)) => format!(
            "--weight-noise scores the method's own statistics and re-estimated ones; leave out --stats {stats}, or \
             --weight-noise"
        ),
        (None, stats) if request.layer_by_layer && stats != Some(Stats::Precise) => {
            "--layer-by-layer has an effect only with --stats precise or --weight-noise; add one of these, or leave it out"
                .into()
        }
        _ => return Ok(()),
    };
    Err(Error::config(why))
}

/// Why a setting has no effect on this evaluation, or must not be changed in it.
fn without_effect(key: &str, request: &EvalRequest, config: &Config, foreign: bool) -> Result<Option<String>> {
    let split = request.split;
    let needs = |needed: bool, what: &str| (!needed).then(|| format!("`{key}` has no effect without {what}"));
    if let Some((norm, parameter)) = key.split_once('.') {
        let spec = NormSpec::new(&config.norm, &config.norm_params)?;
        return Ok(match norm {
            other if other != spec.name() => Some(format!("`{key}` has no effect: the normalizer is {}", spec.name())),
            // Where statistics are remembered, inference is an affine map with those of the checkpoint.
            _ if spec.refreshes() && parameter != "eps" => {
                Some(format!("`{key}` has no effect: the checkpoint's statistics are used as they are"))
            }
            _ => None,
        });
    }
    Ok(match key {
        "dataset" | "model" | "norm" | "device" | "kernels" => None,
        "shortcut" => needs(model::is_residual(&config.model)?, "residual blocks"),
        "test_limit" => needs(split == Split::Test, "--split test"),
        "precise_examples" => needs(request.re_estimates(), "--stats precise, --stats evalnorm or --weight-noise"),
        "batch_size" | "norm_batch_size" => needs(request.takes_batches(), "--stats batch or evalnorm"),
        "train_limit" if foreign => needs(split == Split::Train, "--split train"),
        "seed" | "val_fraction" | "train_limit" => Some(format!(
            "`{key}` would change the split, so that images the run trained on could count as validation images; leave \
             it out, since the run's own split is known"
        )),
        _ => Some(format!("`{key}` has no effect: it is a setting of training")),
    })
}
