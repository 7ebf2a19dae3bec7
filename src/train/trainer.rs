//! One training step, Double-Forward included.

use std::sync::Mutex;

use candle_core::{DType, Device, Tensor};

use super::guard;
use super::{Optimizer, Schedule};
use crate::config::Config;
use crate::data::Batch;
use crate::model::fused::PassInput;
use crate::model::{Gradients, Network, Store, Task};
use crate::norm::{Call, NormSpec, Pass, Progress};
use crate::ops;
use crate::profile::timed;
use crate::{Error, Result};

/// A network under training: what a step changes.
pub struct Trainer {
    network: Network,
    /// The optimizer of its parameters.
    pub optimizer: Optimizer,
    /// Updates made so far.
    pub step: usize,
    /// Whether Double-Forward's second passes run at the end of each step instead of together with the next step's first
    /// pass: the same results, more slowly.
    pub separate_refresh: bool,
    /// Whether statistics are frozen: steps normalize by those of inference, which no longer change, and there are no second
    /// passes.
    pub frozen: bool,
    pending: Mutex<Vec<PassInput<Tensor>>>,
    gradients: Gradients,
    schedule: Schedule,
    steps: usize,
    norm_batch_size: usize,
    double_forward: bool,
    label_smoothing: f64,
}

/// The results of a step.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepReport {
    /// Mean cross-entropy of the batch in nats, under the training pass.
    pub loss: f64,
    /// Images whose largest logit was their label's.
    pub correct: usize,
    /// Images in the batch.
    pub images: usize,
    /// The learning rate of the update.
    pub lr: f64,
}

impl Trainer {
    /// A trainer of the network that a resolved `config` describes, its tensors from `store`.
    ///
    /// # Errors
    /// Whatever [`NormSpec::new`] and [`Network::new`] refuse.
    pub fn new(config: &Config, task: Task, store: Store, device: &Device, steps_per_epoch: usize) -> Result<Self> {
        let spec = NormSpec::new(&config.norm, &config.norm_params)?;
        let mut network = Network::new(config, task, &spec, store, DType::F32, device)?;
        network.use_kernels(config.kernels);
        Ok(Self {
            optimizer: Optimizer::new(network.parameters(), config)?,
            network,
            step: 0,
            separate_refresh: false,
            frozen: false,
            pending: Mutex::default(),
            gradients: Gradients::default(),
            schedule: Schedule::new(config, steps_per_epoch),
            steps: config.epochs * steps_per_epoch,
            norm_batch_size: config.norm_batch_size,
            double_forward: config.double_forward,
            label_smoothing: config.label_smoothing,
        })
    }

    /// Forward, backward and update on `batch`, in consecutive micro-batches of the normalization batch size whose
    /// gradients add up; then, with Double-Forward, the forward passes again to refresh the remembered statistics. Unless
    /// [`Self::separate_refresh`] is set, those wait for the next step, whose first forward pass uses the same weights and
    /// runs together with them, or for a call of [`Self::network`].
    ///
    /// `after_backward` is called between backward pass and update (diagnostics look at the statistics there).
    ///
    /// # Errors
    /// [`Error::Diverged`] where the loss, before the update, or a remembered statistic, after it, is not finite.
    pub fn step(&mut self, batch: &Batch, after_backward: &mut dyn FnMut(&Network)) -> Result<StepReport> {
        let micro_batches = self.micro_batches(batch)?;
        let progress = Progress { step: self.step, steps: self.steps, parts: micro_batches.len() };
        let mut report = StepReport { images: batch.len(), lr: self.schedule.rate(self.step), ..Default::default() };
        self.gradients.clear();
        let mut before = self.take_pending();
        for (x, y) in &micro_batches {
            let share = y.dim(0)? as f64 / batch.len() as f64;
            let smoothing = self.label_smoothing;
            let weighted = |logits: &Tensor| ops::cross_entropy(logits, y, smoothing)?.affine(share, 0.0);
            let pass = if self.frozen { Pass::Frozen } else { Pass::Train };
            let x = PassInput { x: x.clone(), call: Call { pass, progress } };
            let part = self.network.differentiate(&before, x, weighted, &mut self.gradients)?;
            before.clear();
            let loss = scalar(&part.loss)?;
            if !loss.is_finite() {
                return Err(self.diverged("loss"));
            }
            report.loss += loss;
            report.correct += correct(&part.logits, y)?;
        }
        after_backward(&self.network);
        timed("update", || self.optimizer.step(&self.gradients, report.lr))?;
        self.step += 1;
        self.guard()?;
        if self.double_forward && !self.frozen {
            self.pending = Mutex::new(self.refreshes(micro_batches, progress));
        }
        if self.separate_refresh {
            self.settle()?;
        }
        Ok(report)
    }

    /// The network, after the second passes of Double-Forward that were still waiting for the next step; the result is
    /// bit-identical.
    ///
    /// # Errors
    /// [`Error::Diverged`] where a remembered statistic is not finite.
    pub fn network(&self) -> Result<&Network> {
        self.settle()?;
        Ok(&self.network)
    }

    /// How far training had come at the newest update.
    pub fn progress(&self) -> Progress {
        Progress { step: self.step.saturating_sub(1), steps: self.steps, parts: 1 }
    }

    /// The number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.network.parameter_count()
    }

    fn settle(&self) -> Result<()> {
        let pending = self.take_pending();
        if pending.is_empty() {
            return Ok(());
        }
        for PassInput { x, call } in pending {
            self.network.forward_at(&x, call)?;
        }
        self.guard()
    }

    fn take_pending(&self) -> Vec<PassInput<Tensor>> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn guard(&self) -> Result<()> {
        match guard::first_bad_statistic(&self.network)? {
            Some(tensor) => Err(Error::Diverged { step: self.step, tensor }),
            None => Ok(()),
        }
    }

    /// The learning rate of the newest update.
    pub fn lr(&self) -> f64 {
        self.schedule.rate(self.step.saturating_sub(1))
    }

    /// The second forward passes, oldest micro-batch first.
    fn refreshes(&self, micro_batches: Vec<(Tensor, Tensor)>, progress: Progress) -> Vec<PassInput<Tensor>> {
        if !self.network.norms().iter().any(|layer| layer.norm.refreshes()) {
            return vec![];
        }
        let ages = (0..micro_batches.len()).rev();
        let passing = |(age, (x, _))| PassInput { x, call: Call { pass: Pass::Refresh { age }, progress } };
        ages.zip(micro_batches).map(passing).collect()
    }

    fn micro_batches(&self, batch: &Batch) -> Result<Vec<(Tensor, Tensor)>> {
        let mut parts = vec![];
        for start in (0..batch.len()).step_by(self.norm_batch_size) {
            let len = self.norm_batch_size.min(batch.len() - start);
            parts.push((batch.x.narrow(0, start, len)?, batch.y.narrow(0, start, len)?));
        }
        Ok(parts)
    }

    /// The error for a step that failed before its update; names the first non-finite tensor, if there is one.
    fn diverged(&self, fallback: &str) -> Error {
        let tensor = guard::first_bad(&self.network).ok().flatten().unwrap_or_else(|| fallback.into());
        Error::Diverged { step: self.step + 1, tensor }
    }
}

/// A scalar tensor's value.
pub(super) fn scalar(tensor: &Tensor) -> candle_core::Result<f64> {
    tensor.to_dtype(DType::F64)?.to_scalar::<f64>()
}

/// How many rows of `logits` (N,K) have their first largest value at the label of `y` (N).
pub(super) fn correct(logits: &Tensor, y: &Tensor) -> candle_core::Result<usize> {
    let rows = logits.detach().to_dtype(DType::F32)?.to_vec2::<f32>()?;
    let labels = y.to_vec1::<u32>()?;
    let hit = |(row, label): &(Vec<f32>, u32)| {
        let best = row.iter().enumerate().fold(0, |best, (i, v)| if *v > row[best] { i } else { best });
        best == *label as usize
    };
    Ok(rows.into_iter().zip(labels).filter(hit).count())
}
