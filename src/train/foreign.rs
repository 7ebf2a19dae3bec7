//! Checkpoints as other programs write them.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Tensor, pickle};

use super::Checkpoint;
use crate::guarded::guarded;
use crate::{Error, Result};

/// What wrappers put before every name: `DataParallel`, `torch.compile`, a training framework's module.
const PREFIXES: [&str; 3] = ["module.", "_orig_mod.", "model."];

/// Keys under which training scripts store the network's tensors.
const KEYS: [Option<&str>; 4] = [None, Some("state_dict"), Some("model_state_dict"), Some("model")];

const CONVERT: &str = "python3 -c \"import sys, torch, safetensors.torch as s; \
                       s.save_file(torch.load(sys.argv[1], map_location='cpu'), sys.argv[2])\" IN OUT.safetensors";

/// Whether the file begins like one of `torch.save`, zipped, or unzipped as before PyTorch 1.6.
pub(super) fn is_pickle(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
        || (bytes.first() == Some(&0x80) && bytes.get(1).is_some_and(|v| (2..=5).contains(v)))
}

/// The tensors in a zipped pickle; nothing in it is executed.
///
/// # Errors
/// No tensors are found: the message says how to convert the file.
pub(super) fn unpickle(path: &Path) -> Result<HashMap<String, Tensor>> {
    let mut reason = "no tensors are found in it".to_string();
    for key in KEYS {
        match guarded(|| pickle::read_all_with_key(path, key)) {
            Ok(Ok(tensors)) if tensors.is_empty() => {}
            Ok(Ok(tensors)) => return Ok(tensors.into_iter().collect()),
            // Without a key the whole file was read, so the error is about the file, not about the key.
            Ok(Err(error)) if key.is_none() => reason = Error::from(error).to_string(),
            Err(panic) if key.is_none() => reason = panic,
            _ => {}
        }
    }
    let why = format!("a PyTorch pickle that cannot be read ({reason}); convert it to safetensors:\n  {CONVERT}");
    Err(Error::checkpoint(path, why))
}

/// The checkpoint of these tensors, without the prefixes that all their names share.
pub(super) fn checkpoint(mut tensors: HashMap<String, Tensor>, pickled: bool) -> Result<Checkpoint> {
    let mut notes = vec![];
    if pickled {
        notes.push("read as a PyTorch pickle".to_string());
    }
    while let Some(prefix) = PREFIXES.iter().find(|p| !tensors.is_empty() && tensors.keys().all(|n| n.starts_with(**p)))
    {
        tensors = tensors.into_iter().map(|(name, tensor)| (name[prefix.len()..].to_string(), tensor)).collect();
        notes.push(format!("the prefix `{prefix}` was removed from every tensor's name"));
    }
    Ok(Checkpoint { tensors, optimizer: HashMap::new(), metadata: HashMap::new(), notes })
}
