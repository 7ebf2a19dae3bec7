//! The data of a run: loaded once, split, limited, batched.

use std::path::Path;

use candle_core::Device;

use super::open_device;
use crate::config::Config;
use crate::data::{self, Augment, Batch, Dataset, Images, Normalization, Source, gather};
use crate::model::Task;
use crate::text::{self, count};
use crate::train::Part;
use crate::{Error, Result};

/// A data set as a configuration uses it, and the device to compute on.
pub struct Session {
    /// Where to compute.
    pub device: Device,
    /// The data set.
    pub dataset: Dataset,
    normalization: Normalization,
    /// Training images, sorted.
    train: Vec<u32>,
    /// The same in the order of evaluation, as are the other two splits.
    train_shuffled: Vec<u32>,
    val: Vec<u32>,
    test: Vec<u32>,
}

impl Session {
    /// Opens the device and splits the data of a resolved configuration.
    ///
    /// # Errors
    /// No such device; a training set smaller than one batch.
    pub fn new(config: &Config, dataset: Dataset) -> Result<Self> {
        let session = Self::for_evaluation(config, dataset)?;
        if session.train.len() < config.batch_size {
            return Err(Error::config(format!(
                "batch_size = {}: only {} (val_fraction = {}, train_limit = {}); use a smaller batch",
                config.batch_size,
                count(session.train.len(), "training image"),
                config.val_fraction,
                config.train_limit
            )));
        }
        session.check_parts(config)?;
        Ok(session)
    }

    /// Checks that the splits and samples asked for have enough images.
    fn check_parts(&self, config: &Config) -> Result<()> {
        if config.val_fraction > 0.0 && self.val.is_empty() {
            let (fraction, images) = (config.val_fraction, count(self.dataset.train.len(), "training image"));
            return Err(Error::config(format!(
                "val_fraction = {fraction}: of {images} that is less than one; use a larger fraction, or \
                 leave it out"
            )));
        }
        if config.estimates() && self.sample(config.precise_examples).len() < 2 {
            let why = "precise, evalnorm, freeze_epochs, diagnostics: statistics need at least 2 training images";
            return Err(Error::config(why));
        }
        Ok(())
    }

    /// Loads the data and opens a session for evaluation: the training set may be smaller than a batch.
    ///
    /// # Errors
    /// No such device; data that cannot be used; a validation split that leaves nothing to train on.
    pub fn open_for_evaluation(config: &Config, source: &Source) -> Result<Self> {
        Self::for_evaluation(config, data::load(&config.dataset, source)?)
    }

    fn for_evaluation(config: &Config, dataset: Dataset) -> Result<Self> {
        let device = open_device(&config.device)?;
        let (train, val) = data::split(dataset.train.len(), config.val_fraction, config.seed)?;
        let train = data::subset(&train, &dataset.train.labels, config.train_limit);
        let test: Vec<u32> = (0..dataset.test.len() as u32).collect();
        let test = data::subset(&test, &dataset.test.labels, config.test_limit);
        let [train_shuffled, val, test] = [&train, &val, &test].map(|indices| data::evaluation_order(indices));
        let normalization = dataset.normalization();
        Ok(Self { device, normalization, dataset, train, train_shuffled, val, test })
    }

    /// A remark for each split that has no images of some classes, and for each limit above the images there are.
    pub fn remarks(&self, config: &Config) -> Vec<String> {
        let limit = |key: &str, value: usize| if value > 0 { format!(" ({key} = {value})") } else { String::new() };
        let parts = [
            ("training", self.train(), limit("train_limit", config.train_limit)),
            ("validation", self.val(), format!(" (val_fraction = {})", config.val_fraction)),
            ("test", self.test(), limit("test_limit", config.test_limit)),
        ];
        let remark = |(name, part, limit): (&str, Part, String)| {
            let missing = part.missing_classes(self.dataset.classes);
            let images = part.indices.len();
            (images > 0 && !missing.is_empty()).then(|| {
                let include = if images == 1 { "includes" } else { "include" };
                format!(
                    "the {}{limit} {include} none of {}",
                    count(images, &format!("{name} image")),
                    classes(&missing)
                )
            })
        };
        let limits = [("train_limit", config.train_limit, &self.train), ("test_limit", config.test_limit, &self.test)];
        let beyond = limits.into_iter().filter(|(_, limit, images)| *limit > images.len());
        let beyond = beyond.map(|(key, limit, images)| {
            format!("{key} = {limit} has no effect: there are only {} such images", images.len())
        });
        parts.into_iter().filter_map(remark).chain(beyond).collect()
    }

    /// Checks that the data files have not changed since the run began: they are memory-mapped, not copied.
    ///
    /// # Errors
    /// One of them has been modified.
    pub fn check_data(&self) -> Result<()> {
        self.dataset.train.check_unchanged()?;
        self.dataset.test.check_unchanged()
    }

    /// Input shape and number of classes for the network.
    pub fn task(&self) -> Task {
        Task { shape: self.dataset.shape, classes: self.dataset.classes }
    }

    /// Updates per epoch; an incomplete last batch is dropped.
    pub fn steps_per_epoch(&self, config: &Config) -> usize {
        self.train.len() / config.batch_size
    }

    /// The order of the training images in an epoch (from 0).
    pub fn order(&self, config: &Config, epoch: usize) -> Vec<u32> {
        data::epoch_order(&self.train, config.seed, epoch)
    }

    /// Batch number `number` (from 0) of an epoch (from 0), augmented as the configuration says.
    pub fn batch(&self, config: &Config, order: &[u32], epoch: usize, number: usize) -> Result<Batch> {
        let from = number * config.batch_size;
        let augment = (config.augment == Some(true)).then_some(Augment { seed: config.seed, epoch });
        let indices = &order[from..from + config.batch_size];
        Ok(gather(&self.dataset.train, indices, &self.normalization, augment, &self.device)?)
    }

    /// The training images, in the order of evaluation.
    pub fn train(&self) -> Part<'_> {
        self.part(&self.dataset.train, &self.train_shuffled)
    }

    /// The images set aside for validation.
    pub fn val(&self) -> Part<'_> {
        self.part(&self.dataset.train, &self.val)
    }

    /// The test images.
    pub fn test(&self) -> Part<'_> {
        self.part(&self.dataset.test, &self.test)
    }

    /// Training images drawn at random, at most `count` (0: all), for the estimation of statistics.
    pub fn sample(&self, count: usize) -> Vec<u32> {
        let count = if count == 0 { usize::MAX } else { count };
        self.train_shuffled.iter().copied().take(count).collect()
    }

    /// A part of the training images, as [`Self::sample`] gives it.
    pub fn sampled<'a>(&'a self, indices: &'a [u32]) -> Part<'a> {
        self.part(&self.dataset.train, indices)
    }

    fn part<'a>(&'a self, images: &'a Images, indices: &'a [u32]) -> Part<'a> {
        Part { images, indices, normalization: &self.normalization, device: &self.device }
    }
}

/// `class 3`, `the classes 3, 7 and 12 more`
fn classes(missing: &[usize]) -> String {
    let named: Vec<String> = missing.iter().map(usize::to_string).collect();
    let word = if missing.len() == 1 { "class" } else { "the classes" };
    format!("{word} {}", text::first(&named, 10))
}

/// Checks that the data set has the shape and classes that a checkpoint was trained for.
pub(super) fn check_task(path: &Path, trained: Task, found: Task) -> Result<()> {
    if trained == found {
        return Ok(());
    }
    let show = |t: Task| format!("images {:?} and {} classes", t.shape, t.classes);
    Err(Error::checkpoint(path, format!("trained for {}, the data set has {}", show(trained), show(found))))
}
