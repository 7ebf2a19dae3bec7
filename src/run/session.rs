//! The data of a run: loaded once, split, limited, batched.

use std::path::Path;

use candle_core::Device;

use super::open_device;
use crate::config::Config;
use crate::data::{self, gather, Augment, Batch, Dataset, Images, Normalization, Source};
use crate::model::Task;
use crate::train::Part;
use crate::{Error, Result};

/// A data set as a configuration uses it, and the device to compute on.
pub struct Session {
    /// Where to compute.
    pub device: Device,
    /// The data set.
    pub dataset: Dataset,
    normalization: Normalization,
    train: Vec<u32>,
    val: Vec<u32>,
    test: Vec<u32>,
}

impl Session {
    /// Opens the device and loads and splits the data of a resolved configuration.
    ///
    /// # Errors
    /// No such device or data; a training set smaller than one batch.
    pub fn open(config: &Config, source: &Source) -> Result<Self> {
        let session = Self::open_for_evaluation(config, source)?;
        if session.train.len() < config.batch_size {
            return Err(Error::config(format!(
                "batch_size = {}: only {} training pictures (val_fraction = {}, train_limit = {}); use a smaller batch",
                config.batch_size,
                session.train.len(),
                config.val_fraction,
                config.train_limit
            )));
        }
        session.check_parts(config)?;
        Ok(session)
    }

    /// Parts that were asked for have images.
    fn check_parts(&self, config: &Config) -> Result<()> {
        if config.val_fraction > 0.0 && self.val.is_empty() {
            let (fraction, images) = (config.val_fraction, self.dataset.train.len());
            return Err(Error::config(format!(
                "val_fraction = {fraction}: of {images} training images that is less than one; use a larger fraction, or \
                 leave it out"
            )));
        }
        if (config.precise || config.diagnostics) && self.sample(config.precise_examples).len() < 2 {
            return Err(Error::config("precise, diagnostics: the statistics of a single training image say nothing"));
        }
        Ok(())
    }

    /// As [`Self::open`], whatever the size of the training set.
    pub fn open_for_evaluation(config: &Config, source: &Source) -> Result<Self> {
        let device = open_device(&config.device)?;
        let dataset = data::load(&config.dataset, source)?;
        let (mut train, val) = data::split(dataset.train.len(), config.val_fraction, config.seed)?;
        limit(&mut train, config.train_limit);
        let mut test: Vec<u32> = (0..dataset.test.len() as u32).collect();
        limit(&mut test, config.test_limit);
        Ok(Self { device, normalization: dataset.normalization(), dataset, train, val, test })
    }

    /// What the network has to map.
    pub fn task(&self) -> Task {
        Task { shape: self.dataset.shape, classes: self.dataset.classes }
    }

    /// Updates per epoch: whole batches; the pictures left over wait for another epoch's order.
    pub fn steps_per_epoch(&self, config: &Config) -> usize {
        self.train.len() / config.batch_size
    }

    /// The order of the training pictures in an epoch (from 0).
    pub fn order(&self, config: &Config, epoch: usize) -> Vec<u32> {
        data::epoch_order(&self.train, config.seed, epoch)
    }

    /// Batch number `number` of an epoch, augmented as the configuration says.
    pub fn batch(&self, config: &Config, order: &[u32], epoch: usize, number: usize) -> Result<Batch> {
        let from = number * config.batch_size;
        let augment = (config.augment == Some(true)).then_some(Augment { seed: config.seed, epoch });
        let indices = &order[from..from + config.batch_size];
        Ok(gather(&self.dataset.train, indices, &self.normalization, augment, &self.device)?)
    }

    /// The training pictures, in their own order.
    pub fn train(&self) -> Part<'_> {
        self.part(&self.dataset.train, &self.train)
    }

    /// The pictures set aside for validation.
    pub fn val(&self) -> Part<'_> {
        self.part(&self.dataset.train, &self.val)
    }

    /// The test pictures.
    pub fn test(&self) -> Part<'_> {
        self.part(&self.dataset.test, &self.test)
    }

    /// Evenly spaced training pictures, at most `count` (0: all), for the estimation of statistics.
    pub fn sample(&self, count: usize) -> Vec<u32> {
        let (total, count) = (self.train.len(), if count == 0 { self.train.len() } else { count });
        let count = count.min(total);
        (0..count).map(|i| self.train[i * total / count]).collect()
    }

    /// A part of the training pictures, as [`Self::sample`] gives it.
    pub fn sampled<'a>(&'a self, indices: &'a [u32]) -> Part<'a> {
        self.part(&self.dataset.train, indices)
    }

    fn part<'a>(&'a self, images: &'a Images, indices: &'a [u32]) -> Part<'a> {
        Part { images, indices, normalization: &self.normalization, device: &self.device }
    }
}

fn limit(indices: &mut Vec<u32>, count: usize) {
    if count > 0 {
        indices.truncate(count);
    }
}

/// The data set's shape must be what a checkpoint was trained for.
pub(super) fn check_task(path: &Path, trained: Task, found: Task) -> Result<()> {
    if trained == found {
        return Ok(());
    }
    let show = |t: Task| format!("pictures {:?} and {} classes", t.shape, t.classes);
    Err(Error::checkpoint(path, format!("trained for {}, the data set has {}", show(trained), show(found))))
}
