//! Building a checkpoint's network and checking every tensor for the evaluation asked for.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};

use super::subject::Subject;
use crate::model::{Network, Store, Task};
use crate::norm::{NormSpec, is_statistic};
use crate::record::Stats;
use crate::train::{self, TRAIN};
use crate::{Error, Result, text};

/// The statistics that inference uses by default.
const RUNNING: [&str; 2] = ["running_mean", "running_var"];

/// The network, and notes on the checkpoint.
///
/// # Errors
/// A tensor that is missing, superfluous, of another shape, not finite, or a negative variance; the message names it.
pub(super) fn build(
    subject: &mut Subject,
    task: Task,
    device: &Device,
    stats: Option<Stats>,
) -> Result<(Network, Vec<String>)> {
    let Subject { path, checkpoint, config, .. } = subject;
    let spec = NormSpec::new(&config.norm, &config.norm_params)?;
    let make = |store| {
        Network::new(&*config, task, &spec, store, DType::F32, device)
            .map_err(|error| Error::checkpoint(&*path, error.to_string()))
    };
    let mut notes = std::mem::take(&mut checkpoint.notes);
    let mut tensors = std::mem::take(&mut checkpoint.tensors);
    let held = examples(&tensors);
    if !checkpoint.is_own() {
        check_types(path, &tensors)?;
        notes.extend(complete(path, &mut tensors, make(Store::fresh(0))?.store().vars(), stats)?);
    }
    let network = make(Store::from_tensors(tensors)).map_err(|error| match error {
        Error::Checkpoint { path, reason } => Error::checkpoint(path, format!("{reason}; {held}")),
        other => other,
    })?;
    if let Some(name) = network.store().unused() {
        let why = match name.starts_with(TRAIN) {
            true => format!(
                "tensor `{name}` is of an optimizer: a checkpoint of mbn that was saved again without its header; use the \
                 original file, or save it without the tensors `{TRAIN}*`"
            ),
            false => format!(
                "tensor `{name}` does not belong to {} with {}: the checkpoint is of another network",
                config.model, config.norm
            ),
        };
        return Err(Error::checkpoint(&*path, why));
    }
    check_values(path, &network, stats)?;
    Ok((network, notes))
}

/// Fills in initial running statistics where a checkpoint has none and the evaluation needs none; returns a note on it.
///
/// # Errors
/// The evaluation needs them.
fn complete(
    path: &Path,
    tensors: &mut HashMap<String, Tensor>,
    initial: Vec<(String, Var)>,
    stats: Option<Stats>,
) -> Result<Option<String>> {
    // Where a layer's scale is missing, too, it is another network's checkpoint.
    let layer = |name: &str| name.rsplit_once('.').map_or(String::new(), |(layer, _)| layer.to_string());
    let is_absent = |name: &str| {
        is_running(name) && !tensors.contains_key(name) && tensors.contains_key(&format!("{}.weight", layer(name)))
    };
    let absent: Vec<_> = initial.into_iter().filter(|(name, _)| is_absent(name)).collect();
    let Some((name, _)) = absent.first() else { return Ok(None) };
    let Some(stats) = stats.filter(|stats| stats.is_re_estimated()) else {
        let why = format!("tensor `{name}` is missing; --stats precise and --stats batch do not need it");
        return Err(Error::checkpoint(path, why));
    };
    tensors.extend(absent.into_iter().map(|(name, var)| (name, var.as_detached_tensor())));
    Ok(Some(format!("the checkpoint holds no running statistics; --stats {} needs none", stats.name())))
}

/// The first tensors by name, to tell what network they are of.
fn examples(tensors: &HashMap<String, Tensor>) -> String {
    let mut names: Vec<String> = tensors.keys().map(|name| format!("`{name}`")).collect();
    names.sort_unstable();
    format!("the file holds {}", text::first(&names, 3))
}

fn last_component(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn is_running(name: &str) -> bool {
    RUNNING.contains(&last_component(name))
}

/// Refuses integer tensors: quantized weights mean nothing without their scales, which are not read.
fn check_types(path: &Path, tensors: &HashMap<String, Tensor>) -> Result<()> {
    let whole = |t: &Tensor| matches!(t.dtype(), DType::U8 | DType::U32 | DType::I16 | DType::I32 | DType::I64);
    let counted = |name: &str| last_component(name) == "num_batches_tracked";
    let mut found = tensors.iter().filter(|(name, tensor)| whole(tensor) && !counted(name)).collect::<Vec<_>>();
    found.sort_by_key(|(name, _)| *name);
    match found.first() {
        Some((name, tensor)) => {
            let dtype = tensor.dtype();
            let why = format!("tensor `{name}` holds integers ({dtype:?}), not weights; save it as f32");
            Err(Error::checkpoint(path, why))
        }
        None => Ok(()),
    }
}

/// Parameters, and the statistics that this evaluation uses, must be finite, and variances not negative.
fn check_values(path: &Path, network: &Network, stats: Option<Stats>) -> Result<()> {
    let used = |name: &str| match (is_statistic(name), stats) {
        (false, _) => true,
        (true, Some(Stats::Ema)) => last_component(name).starts_with("ema_") || is_running(name),
        (true, stats) => is_running(name) && !stats.is_some_and(Stats::is_re_estimated),
    };
    for (name, var) in network.store().vars().into_iter().filter(|(name, _)| used(name)) {
        let tensor = var.as_detached_tensor();
        let fault = match () {
            () if !train::is_finite(&tensor)? => "is not finite",
            () if name.ends_with("_var") && !train::is_never_negative(&tensor)? => "holds a negative variance",
            () => continue,
        };
        let way_out = if is_statistic(&name) { "; --stats precise re-estimates the statistics" } else { "" };
        return Err(Error::checkpoint(path, format!("tensor `{name}` {fault}{way_out}")));
    }
    Ok(())
}
