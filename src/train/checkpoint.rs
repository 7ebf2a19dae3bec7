//! Checkpoints: everything that continues a run exactly, in one safetensors file, so that no two files can disagree.
//!
//! Parameters and inference statistics carry PyTorch's names; remembered statistics theirs (`bn1.memory_mean`);
//! the optimizer's state `train.<slot>.<parameter>`, such as `train.momentum.conv1.weight`. The header's metadata holds
//! the configuration, the position in the run and a checksum of it all.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::{SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::{Trainer, foreign};
use crate::model::Task;
use crate::record::atomic;
use crate::{Error, Result};

/// What the names of the optimizer's tensors begin with.
pub(crate) const TRAIN: &str = "train.";
const CHECKSUM: &str = "checksum";
const FORMAT: &str = "mbn-checkpoint-1";
/// What the names of all formats of this program begin with.
const FORMATS: &str = "mbn-checkpoint-";

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Epochs completed.
    pub epoch: usize,
    /// Rows of metrics recorded for those epochs.
    pub rows: usize,
    /// Batches completed in the current epoch.
    pub batch: usize,
    /// Updates made.
    pub step: usize,
    /// Sum of the batches' mean losses times their images, in the current epoch.
    pub loss_sum: f64,
    /// Correct predictions in the current epoch.
    pub correct: usize,
    /// Images in the current epoch.
    pub images: usize,
    /// Seconds of training in the current epoch.
    pub train_seconds: f64,
    /// Seconds since the run began, interruptions aside.
    pub seconds: f64,
    /// Best validation accuracy so far.
    pub best: Option<f64>,
}

/// A checkpoint in memory.
pub struct Checkpoint {
    /// Parameters and statistics by name.
    pub tensors: HashMap<String, Tensor>,
    /// The optimizer's state, as `<slot>.<parameter>`; empty in a checkpoint that is only for inference.
    pub optimizer: HashMap<String, Tensor>,
    /// The header's own fields: `config` (TOML), `position` (JSON), `model`, `channels`, `height`, `width`, `classes`, ...
    /// Empty in a checkpoint of another program, whose fields mean other things.
    pub metadata: HashMap<String, String>,
    /// What was done to read a checkpoint of another program, for the user.
    pub notes: Vec<String>,
}

impl Checkpoint {
    /// The state of `trainer`; with `position`, everything needed to resume.
    pub fn of(trainer: &Trainer, config: &str, model: &str, task: Task, position: Option<&Position>) -> Result<Self> {
        let mut metadata = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("config".to_string(), config.to_string()),
            ("model".to_string(), model.to_string()),
        ]);
        let [channels, height, width] = task.shape;
        for (key, value) in [("channels", channels), ("height", height), ("width", width), ("classes", task.classes)] {
            metadata.insert(key.to_string(), value.to_string());
        }
        let mut optimizer = HashMap::new();
        if let Some(position) = position {
            let json = serde_json::to_string(position).map_err(|e| Error::config(e.to_string()))?;
            metadata.insert("position".to_string(), json);
            optimizer = trainer.optimizer.state();
        }
        Ok(Self { tensors: trainer.network()?.tensors(), optimizer, metadata, notes: vec![] })
    }

    /// Writes the checkpoint: temporary name, sync, rename.
    pub fn save(&self, path: &Path) -> Result<()> {
        let kept = self.optimizer.iter().map(|(name, tensor)| (format!("{TRAIN}{name}"), tensor));
        let mut all: BTreeMap<String, Tensor> = BTreeMap::new();
        for (name, tensor) in self.tensors.iter().map(|(n, t)| (n.clone(), t)).chain(kept) {
            all.insert(name, tensor.to_device(&Device::Cpu)?.contiguous()?);
        }
        let mut metadata = self.metadata.clone();
        let sum = checksum(&metadata, &all);
        metadata.insert(CHECKSUM.to_string(), sum);
        let bytes = safetensors::serialize(&all, Some(metadata)).map_err(|e| invalid(path, e))?;
        atomic::write(path, &bytes)
    }

    /// Reads a checkpoint of this program, or one of another program as safetensors or PyTorch's zipped pickle, from whose
    /// names the prefixes of wrappers are removed.
    ///
    /// # Errors
    /// A file that is missing, truncated, of another format, or whose contents do not match their checksum.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let metadata = match SafeTensors::read_metadata(&bytes) {
            Ok((_, header)) => header.metadata().clone().unwrap_or_default(),
            Err(_) if foreign::is_pickle(&bytes) => return foreign::checkpoint(foreign::unpickle(path)?, true),
            Err(error) => return Err(invalid(path, error)),
        };
        let parsed = SafeTensors::deserialize(&bytes).map_err(|e| invalid(path, e))?;
        let own = is_own(&metadata);
        if let Some(format) = metadata.get("format").filter(|format| format.starts_with(FORMATS) && *format != FORMAT) {
            let why =
                format!("written by a newer mbn (its format is {format}, this one reads {FORMAT}); use that version");
            return Err(Error::checkpoint(path, why));
        }
        if own && metadata.get(CHECKSUM) != Some(&checksum(&metadata, parsed.tensors())) {
            return Err(Error::checkpoint(path, "the contents do not match their checksum: the file is damaged"));
        }
        if own && metadata.get("format").is_none_or(|format| format != FORMAT) {
            let why = "written by another version of mbn in a format that this one cannot read; use that version";
            return Err(Error::checkpoint(path, why));
        }
        for (name, view) in parsed.tensors() {
            if DType::try_from(view.dtype()).is_err() {
                let why =
                    format!("tensor `{name}` is of type {:?}, which cannot be read; save it as f32", view.dtype());
                return Err(Error::checkpoint(path, why));
            }
        }
        let all = candle_core::safetensors::load_buffer(&bytes, device)
            .map_err(|e| Error::checkpoint(path, e.to_string()))?;
        if !own {
            return foreign::checkpoint(all, false);
        }
        let (kept, tensors): (HashMap<_, _>, HashMap<_, _>) =
            all.into_iter().partition(|(name, _)| name.starts_with(TRAIN));
        let optimizer = kept.into_iter().map(|(name, t)| (name[TRAIN.len()..].to_string(), t)).collect();
        Ok(Self { tensors, optimizer, metadata, notes: vec![] })
    }

    /// Whether this program wrote it.
    pub fn is_own(&self) -> bool {
        is_own(&self.metadata)
    }

    /// A field of the header.
    ///
    /// # Errors
    /// The field is missing: another program wrote the checkpoint.
    pub fn field(&self, path: &Path, key: &str) -> Result<&str> {
        let missing = || Error::checkpoint(path, format!("its header has no field `{key}`: not a checkpoint of mbn"));
        self.metadata.get(key).map(String::as_str).ok_or_else(missing)
    }

    /// Image shape and number of classes of the checkpoint's network.
    pub fn task(&self, path: &Path) -> Result<Task> {
        let number = |key: &str| {
            let text = self.field(path, key)?;
            text.parse().map_err(|_| Error::checkpoint(path, format!("header field `{key}`: `{text}` is not a number")))
        };
        Ok(Task { shape: [number("channels")?, number("height")?, number("width")?], classes: number("classes")? })
    }

    /// How far the run had come.
    pub fn position(&self, path: &Path) -> Result<Position> {
        let text = self.field(path, "position")?;
        serde_json::from_str(text).map_err(|e| Error::checkpoint(path, format!("header field `position`: {e}")))
    }
}

/// Other programs may use some of these fields' names, but not all of them.
fn is_own(metadata: &HashMap<String, String>) -> bool {
    let has = |key: &str| metadata.contains_key(key);
    metadata.get("format").is_some_and(|format| format.starts_with(FORMATS))
        || (has(CHECKSUM) && has("config") && has("classes"))
}

/// BLAKE3 over the header's fields (itself aside) and over names, types, shapes and bytes of the tensors, sorted.
fn checksum<N: AsRef<str> + Ord, V: View>(
    metadata: &HashMap<String, String>,
    tensors: impl IntoIterator<Item = (N, V)>,
) -> String {
    let mut hasher = blake3::Hasher::new();
    for (key, value) in metadata.iter().collect::<BTreeMap<_, _>>() {
        if key != CHECKSUM {
            hasher.update(format!("{key:?}={value:?}\n").as_bytes());
        }
    }
    for (name, view) in tensors.into_iter().collect::<BTreeMap<_, _>>() {
        hasher.update(format!("{} {:?} {:?}\n", name.as_ref(), view.dtype(), view.shape()).as_bytes());
        hasher.update(&view.data());
    }
    hasher.finalize().to_hex()[..32].to_string()
}

fn invalid(path: &Path, error: safetensors::SafeTensorError) -> Error {
    Error::checkpoint(
        path,
        format!("not a complete safetensors file ({error}); copy it again, or train the network again"),
    )
}
