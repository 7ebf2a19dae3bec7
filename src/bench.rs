//! Throughput: whole training steps on a fixed random batch, as `scripts/torch_baseline.py` measures them in PyTorch, or
//! evaluations of such a batch, as in `mbn eval` once its images are loaded.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use crate::config::{Config, LrScaling, ScheduleKind};
use crate::data::Batch;
use crate::model::{Kernels, Store, Task};
use crate::norm::is_undefined;
use crate::profile;
use crate::rng;
use crate::train::{Trainer, evaluate_batch};
use crate::{Error, Result};

/// Steps before the measured ones: the first allocate memory and the optimizer's buffers.
const WARM_UP: usize = 3;

/// What is measured: one network, one normalizer, one batch size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchCase {
    /// Network.
    pub model: String,
    /// `bn`, `mbn`, `gn`, ...; the suffix `-df` adds Double-Forward.
    pub norm: String,
    /// Images per step.
    pub batch_size: usize,
    /// Fused, direct or plain kernels.
    pub kernels: Kernels,
    /// Whether Double-Forward's second pass runs by itself instead of together with the next step's first.
    pub separate_refresh: bool,
    /// Whether a step is an evaluation of the batch (forward pass, loss, accuracy) instead of training on it.
    pub evaluation: bool,
}

/// The time of a step.
#[derive(Debug, Clone)]
pub struct StepTime {
    /// The whole step, mean over the measured ones.
    pub step: Duration,
    /// By operation, the longest first; empty without a profile. What is missing from `step` is time outside of operations.
    pub operations: Vec<(&'static str, Duration)>,
}

impl BenchCase {
    /// The settings of the step: SGD with momentum 0.9 and weight decay 1e-4, normalizers with their defaults. The learning
    /// rate is almost 0, since at a usual one a deep network without a normalizer diverges on its one batch.
    fn config(&self) -> Result<Config> {
        let (norm, double_forward) = match self.norm.strip_suffix("-df") {
            Some(norm) => (norm, true),
            None => (self.norm.as_str(), false),
        };
        let config = Config {
            dataset: self.dataset().into(),
            model: self.model.clone(),
            norm: norm.into(),
            double_forward,
            batch_size: self.batch_size,
            lr: 1e-9,
            kernels: self.kernels,
            lr_scaling: LrScaling::None,
            schedule: ScheduleKind::Constant,
            ..Config::default()
        };
        config.resolve()
    }

    /// A data set whose image shape suits the network; its images are not used.
    fn dataset(&self) -> &'static str {
        match self.model.as_str() {
            "lenet" | "mlp" => "digits",
            _ => "shapes",
        }
    }

    /// Checks that network and normalizer exist, before anything is measured.
    ///
    /// # Errors
    /// One of them does not; the message suggests the closest name.
    pub fn check(&self) -> Result<()> {
        self.config().map(|_| ())
    }

    /// The mean time of a step, over at least `time` and at least one step, after three warm-up steps; by operation, too,
    /// with `profile`. None where the normalizer refuses the batch (one value per channel).
    ///
    /// # Errors
    /// An unknown network or normalizer, or a device that cannot be used.
    pub fn measure(&self, device: &Device, time: Duration, profile: bool) -> Result<Option<StepTime>> {
        let config = self.config()?;
        let kind = crate::data::find(&config.dataset)?;
        let task = Task { shape: kind.shape, classes: kind.classes };
        let mut trainer = Trainer::new(&config, task, Store::fresh(0), device, 1)?;
        trainer.separate_refresh = self.separate_refresh;
        let batch = random_batch(task, self.batch_size, device)?;
        for _ in 0..WARM_UP {
            match self.step(&mut trainer, &batch) {
                Err(Error::Tensor(error)) if is_undefined(&error) => return Ok(None),
                done => done?,
            }
        }
        device.synchronize()?;
        if profile {
            profile::start();
        }
        let (begun, mut steps) = (Instant::now(), 0);
        while steps == 0 || begun.elapsed() < time {
            self.step(&mut trainer, &batch)?;
            steps += 1;
        }
        device.synchronize()?;
        let elapsed = begun.elapsed();
        let per_step = |time: Duration| time / steps;
        let operations = profile::stop().into_iter().map(|(name, time)| (name, per_step(time))).collect();
        Ok(Some(StepTime { step: per_step(elapsed), operations }))
    }

    /// One step. Both kinds read loss and correct answers back to the host, as training and evaluation do.
    fn step(&self, trainer: &mut Trainer, batch: &Batch) -> Result<()> {
        match self.evaluation {
            true => evaluate_batch(trainer.network()?, batch).map(|_| ()),
            false => trainer.step(batch, &mut |_| {}).map(|_| ()),
        }
    }
}

/// Normally distributed images and uniformly distributed labels, the same every time.
fn random_batch(task: Task, size: usize, device: &Device) -> Result<Batch> {
    let mut stream = rng::stream(0, "bench");
    let [c, h, w] = task.shape;
    let x: Vec<f32> = (0..size * c * h * w).map(|_| stream.normal() as f32).collect();
    let y: Vec<u32> = (0..size).map(|_| stream.below(task.classes) as u32).collect();
    Ok(Batch { x: Tensor::from_vec(x, (size, c, h, w), device)?, y: Tensor::from_vec(y, size, device)? })
}
