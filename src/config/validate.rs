//! Contradictions among the settings, found before any data is read.

use super::{Config, DeviceName, ScheduleKind};
use crate::norm::NormSpec;
use crate::train::optimizer::{self, OPTIMIZERS};
use crate::{Error, Result, data, model};

/// Larger batches, and more epochs, than this are taken for typing errors.
const LARGEST: usize = 1 << 20;

impl Config {
    /// Checks that the settings are in range and consistent.
    ///
    /// # Errors
    /// The first setting that is unknown, out of range or contradicts another, and what to do about it.
    pub fn validate(&self) -> Result<()> {
        self.check_parts()?;
        self.check_sizes()?;
        self.check_optimizer()?;
        self.check_schedule()
    }

    /// Data set, network, normalizer, optimizer and device exist, and the normalizer can do what is asked of it.
    fn check_parts(&self) -> Result<()> {
        data::find(&self.dataset)?;
        model::check(&self.model)?;
        optimizer::find(&self.optimizer)?;
        self.device.parse::<DeviceName>()?;
        ensure(self.data_digest.as_deref() != Some(""), || {
            "data_digest = \"\": expected the digest in a run's config.toml; leave it out for the data here".into()
        })?;
        let spec = NormSpec::new(&self.norm, &self.norm_params)?;
        ensure(self.freeze_epochs == 0 || spec.remembers(), || {
            format!(
                "freeze_epochs: normalizer `{}` remembers no batch statistics, so there are none to freeze; leave \
                 freeze_epochs out",
                spec.name()
            )
        })?;
        ensure(!self.double_forward || spec.refreshes(), || {
            format!(
                "double_forward: normalizer `{}` remembers no batch statistics, so a second forward pass changes \
                 nothing; leave double_forward out, or use a normalizer that remembers some, such as mbn",
                spec.name()
            )
        })
    }

    fn check_sizes(&self) -> Result<()> {
        let (batch, micro) = (self.batch_size, self.norm_batch_size);
        ensure((1..=LARGEST).contains(&batch), || format!("batch_size = {batch}: must be 1 to {LARGEST}"))?;
        ensure(micro <= batch, || {
            format!(
                "norm_batch_size = {micro} is more than batch_size = {batch}: statistics are taken over parts of a \
                 batch; raise batch_size, or leave norm_batch_size out"
            )
        })?;
        ensure(micro == 0 || batch.is_multiple_of(micro), || {
            format!("norm_batch_size = {micro} does not divide batch_size = {batch}; use one of {}", divisors(batch))
        })?;
        ensure((1..=LARGEST).contains(&self.epochs), || format!("epochs = {}: must be 1 to {LARGEST}", self.epochs))?;
        ensure(self.freeze_epochs < self.epochs, || {
            format!(
                "freeze_epochs = {} leaves no other epoch (epochs = {}): at least one has to train with the method's own \
                 statistics; freeze fewer epochs, or train longer",
                self.freeze_epochs, self.epochs
            )
        })?;
        ensure(!self.weighing || self.val_fraction > 0.0, || {
            "weighing = true: its weight is chosen on validation images, and there are none (val_fraction = 0); set \
             val_fraction (to 0.1, say), or leave weighing out"
                .into()
        })?;
        ensure(self.precise_examples != 1 || !self.estimates(), || {
            "precise_examples = 1: a single image is too few to estimate statistics; use 0 (all of them) or at least 2"
                .into()
        })?;
        ensure(self.diagnostics_every >= 1, || "diagnostics_every = 0: must be at least 1 step".into())?;
        ensure(i64::try_from(self.seed).is_ok(), || format!("seed = {}: must be 0 to {}", self.seed, i64::MAX))?;
        ensure((0.0..1.0).contains(&self.val_fraction), || {
            format!("val_fraction = {}: must be a fraction of the training data, in [0, 1)", self.val_fraction)
        })
    }

    /// Whether statistics are estimated over training images.
    pub fn estimates(&self) -> bool {
        self.precise || self.evalnorm || self.diagnostics || self.freeze_epochs > 0
    }

    fn check_optimizer(&self) -> Result<()> {
        let zero_or_more = |x: f64| x.is_finite() && x >= 0.0;
        ensure(zero_or_more(self.lr), || format!("lr = {}: must be a finite number, 0 or more", self.lr))?;
        ensure(self.lr_batch >= 1, || "lr_batch = 0: must be at least 1 image".into())?;
        OPTIMIZERS.iter().try_for_each(|kind| kind.check(self)).map_err(Error::config)?;
        ensure(zero_or_more(self.weight_decay), || {
            format!("weight_decay = {}: must be a finite number, 0 or more", self.weight_decay)
        })?;
        ensure((0.0..1.0).contains(&self.label_smoothing), || {
            format!("label_smoothing = {}: must be in [0, 1)", self.label_smoothing)
        })
    }

    fn check_schedule(&self) -> Result<()> {
        let (warmup, epochs) = (self.warmup_epochs, self.epochs as f64);
        ensure(warmup.is_finite() && warmup >= 0.0, || {
            format!("warmup_epochs = {warmup}: must be a finite number, 0 or more")
        })?;
        ensure(warmup <= epochs, || {
            format!("warmup_epochs = {warmup} is longer than training (epochs = {epochs}); shorten it or train longer")
        })?;
        if self.schedule != ScheduleKind::MultiStep {
            return ensure(self.milestones.is_empty(), || {
                "milestones are given, but schedule is not multi-step; set schedule = \"multi-step\", or leave \
                 milestones out"
                    .into()
            });
        }
        let listed = || format!("milestones = {:?}", self.milestones);
        ensure(!self.milestones.is_empty(), || "schedule = multi-step needs milestones, such as [2, 3]".into())?;
        ensure(self.milestones.iter().all(|&m| m > 0.0 && m < epochs), || {
            format!("{}: each must be above 0 and below epochs = {epochs}", listed())
        })?;
        ensure(self.milestones.windows(2).all(|pair| pair.first() < pair.last()), || {
            format!("{}: must be in ascending order", listed())
        })?;
        ensure(self.lr_gamma.is_finite() && self.lr_gamma > 0.0, || {
            format!("lr_gamma = {}: must be a finite number above 0", self.lr_gamma)
        })
    }
}

fn ensure(ok: bool, message: impl FnOnce() -> String) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::config(message())) }
}

/// The divisors of `n`, at most the eight smallest and `n` itself.
fn divisors(n: usize) -> String {
    let mut found: Vec<String> = (1..n).filter(|d| n.is_multiple_of(*d)).take(8).map(|d| d.to_string()).collect();
    found.push(n.to_string());
    found.join(", ")
}
