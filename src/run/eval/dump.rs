//! Images and logits in a file, for comparison with other programs.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;

use crate::model::Network;
use crate::norm::Pass;
use crate::record::atomic;
use crate::train::Part;
use crate::{Error, Result};

/// Number of images in a dump.
const IMAGES: usize = 64;

/// Refuses to overwrite an existing file, which could be the checkpoint itself.
pub(super) fn check(path: &Path) -> Result<()> {
    if path == Path::new("-") {
        return Err(Error::config("--dump -: the dump is not written to standard output; give the name of a new file"));
    }
    match path.symlink_metadata() {
        Ok(_) => Err(Error::config(format!(
            "--dump {}: the file exists and is not overwritten; choose another name, or remove the file",
            path.display()
        ))),
        Err(_) => Ok(()),
    }
}

/// Writes `inputs` (N,C,H,W), `logits` (N,classes) and `labels` (N) of the first images.
pub(super) fn write(network: &Network, part: Part, pass: Pass, path: &Path) -> Result<()> {
    let batch = part.batch(0, IMAGES.min(part.indices.len()))?;
    let logits = network.forward(&batch.x, pass)?;
    let tensors: HashMap<&str, Tensor> = HashMap::from([("inputs", batch.x), ("logits", logits), ("labels", batch.y)]);
    let bytes = safetensors::serialize(&tensors, None).map_err(|e| Error::checkpoint(path, e.to_string()))?;
    atomic::write(path, &bytes)
}
