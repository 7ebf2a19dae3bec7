//! Errors that can be found before the first run starts.

use std::collections::HashSet;

use candle_core::{DType, Device, Tensor};

use super::Job;
use crate::data::{self, Kind, Source};
use crate::model::{Network, Store, Task};
use crate::norm::{NormSpec, Pass};
use crate::run::open_device;
use crate::text::count;
use crate::{Error, Result};

/// Builds every distinct network of `jobs` once; with a `source`, also makes sure that data and devices are
/// available, and downloads the data sets that are not on this machine.
///
/// # Errors
/// A network that cannot be built, a normalizer that is not defined for a single image where statistics are taken
/// over one, fewer images than a batch; data or a device that is not available.
pub fn check(jobs: &[&Job], source: Option<&Source>) -> Result<()> {
    let mut seen = HashSet::new();
    let mut new = |what: String| seen.insert(what);
    for job in jobs {
        let config = &job.config;
        let kind = data::find(&config.dataset)?;
        check_images(job, kind)?;
        let (alone, twice) = (config.norm_batch_size == 1, config.double_forward);
        let norm = format!("{} {} {alone} {twice}", config.norm, config.norm_params);
        let blocks = format!("{:?} {} {:?}", config.shortcut, config.zero_init_residual, config.init);
        if new(format!("network {} {} {blocks} {norm}", kind.name, config.model)) {
            check_network(job, kind).map_err(|error| blame(job, error))?;
        }
        let Some(source) = source else { continue };
        if new(format!("device {}", config.device)) {
            open_device(&config.device)?;
        }
        if new(format!("data {}", kind.name)) {
            data::fetch(kind.name, source)?;
        }
    }
    Ok(())
}

/// Builds the network and, where statistics are taken over one image, passes one through it as training does.
fn check_network(job: &Job, kind: &Kind) -> Result<()> {
    let config = &job.config;
    let (task, device) = (Task { shape: kind.shape, classes: kind.classes }, Device::Cpu);
    let spec = NormSpec::new(&config.norm, &config.norm_params)?;
    let network = Network::new(config, task, &spec, Store::fresh(0), DType::F32, &device)?;
    if config.norm_batch_size == 1 {
        let [channels, height, width] = task.shape;
        let image = Tensor::zeros((1, channels, height, width), DType::F32, &device)?;
        network.forward(&image, Pass::Train)?;
        if config.double_forward {
            network.forward(&image, Pass::REFRESH)?;
        }
    }
    Ok(())
}

/// A batch must fit into the complete set's training images; an incomplete set is left to the run to check.
fn check_images(job: &Job, kind: &Kind) -> Result<()> {
    let config = &job.config;
    let held_out = (kind.counts[0] as f64 * config.val_fraction).round() as usize;
    if config.val_fraction > 0.0 && held_out == 0 {
        let (fraction, images) = (config.val_fraction, count(kind.counts[0], "training image"));
        let why = format!("val_fraction = {fraction}: of {images} that is less than one");
        return Err(blame(job, Error::config(why)));
    }
    let limit = if config.train_limit == 0 { usize::MAX } else { config.train_limit };
    let images = kind.counts[0].saturating_sub(held_out).min(limit);
    if images >= config.batch_size {
        return Ok(());
    }
    let (images, are) = (count(images, "training image"), if images == 1 { "is" } else { "are" });
    let why = format!("only {images} {are} left for batches of {}", config.batch_size);
    Err(blame(job, Error::config(why)))
}

fn blame(job: &Job, error: Error) -> Error {
    Error::config(format!("the run {}: {error}\nhint: leave such runs out with [[exclude]]", job.describe()))
}
