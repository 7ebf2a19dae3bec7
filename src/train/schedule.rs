//! The learning rate as a pure function of the step.

use crate::config::{Config, LrScaling, ScheduleKind};

/// The learning-rate schedule of a run.
///
/// Warm-up over W steps: lr (t+1)/W for t < W. After it, with T steps in all:
/// constant: lr; multi-step: lr gamma^(milestones at or before t/steps_per_epoch);
/// cosine: lr (1 + cos(pi (t-W)/(T-W)))/2.
#[derive(Debug, Clone)]
pub struct Schedule {
    lr: f64,
    kind: ScheduleKind,
    warmup: usize,
    total: usize,
    steps_per_epoch: usize,
    milestones: Vec<f64>,
    gamma: f64,
}

impl Schedule {
    /// The schedule of `config` for epochs of that many steps.
    pub fn new(config: &Config, steps_per_epoch: usize) -> Self {
        Self {
            lr: full_rate(config),
            kind: config.schedule,
            warmup: (config.warmup_epochs * steps_per_epoch as f64).round() as usize,
            total: config.epochs * steps_per_epoch,
            steps_per_epoch,
            milestones: config.milestones.clone(),
            gamma: config.lr_gamma,
        }
    }

    /// The learning rate of step `t`, counted from 0.
    pub fn rate(&self, t: usize) -> f64 {
        if t < self.warmup {
            return self.lr * (t + 1) as f64 / self.warmup as f64;
        }
        match self.kind {
            ScheduleKind::Constant => self.lr,
            ScheduleKind::MultiStep => {
                let epoch = t as f64 / self.steps_per_epoch as f64;
                let passed = self.milestones.iter().filter(|&&m| m <= epoch).count();
                self.lr * self.gamma.powi(passed as i32)
            }
            ScheduleKind::Cosine => {
                let span = self.total.saturating_sub(self.warmup).max(1) as f64;
                let part = ((t - self.warmup) as f64 / span).min(1.0);
                self.lr * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
            }
        }
    }
}

/// The base learning rate `lr`, given for `lr_batch` images, scaled to `batch_size` by the rule `lr_scaling`.
pub fn full_rate(config: &Config) -> f64 {
    let ratio = config.batch_size as f64 / config.lr_batch as f64;
    match config.lr_scaling {
        LrScaling::Linear => config.lr * ratio,
        LrScaling::Sqrt => config.lr * ratio.sqrt(),
        LrScaling::None => config.lr,
    }
}
