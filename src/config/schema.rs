//! The settings of a run. Keys are those of the CSV columns; the file's own format is TOML.

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::model::{Initialization, Kernels, Shortcut};

/// How the base learning rate follows the batch size B, relative to `lr_batch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LrScaling {
    /// lr · B / lr_batch
    Linear,
    /// lr · sqrt(B / lr_batch)
    Sqrt,
    /// lr as it stands
    None,
}

/// The learning-rate schedule after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The same rate throughout.
    Constant,
    /// Multiplied by `lr_gamma` at each of `milestones` (in epochs).
    MultiStep,
    /// Half a cosine from the full rate to 0 at the end of training.
    Cosine,
}

/// Everything that determines the result of a run, and nothing else: two runs with the same resolved configuration
/// on the same data ([`Config::on`]) have the same name, and on the same device the same numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Data set: see `mbn data list`.
    pub dataset: String,
    /// What its images and labels are: the digest that the run found, or that the data must have; absent until they are
    /// looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<String>,
    /// Network.
    pub model: String,
    /// Residual networks: shortcuts of blocks that change the map's size, `pad` (no parameters, option A) or `projection`
    /// (a 1x1 convolution, option B).
    pub shortcut: Shortcut,
    /// Fresh weights: `he` (normal, variance 2/fan_in, biases 0) or `torch` (PyTorch's default).
    pub init: Initialization,
    /// Residual networks: blocks begin as their shortcuts alone, by a last scale (with pre-activation, a last convolution)
    /// of 0.
    pub zero_init_residual: bool,
    /// Normalizer.
    pub norm: String,
    /// Repeat the forward pass after each update, so that remembered statistics fit the new weights.
    pub double_forward: bool,
    /// Images per update.
    pub batch_size: usize,
    /// Images whose statistics are taken together: the batch is processed as consecutive micro-batches of this size.
    /// 0: the batch size.
    pub norm_batch_size: usize,
    /// Passes over the training data.
    pub epochs: usize,
    /// Seed of initialisation, order, augmentation and validation split.
    pub seed: u64,

    /// Last epochs that normalize by frozen statistics: re-estimated over training images when they begin, then constants.
    pub freeze_epochs: usize,

    /// Optimizer: see [`crate::train::OPTIMIZERS`].
    pub optimizer: String,
    /// Base learning rate, for batches of `lr_batch` images; where it is not given, the optimizer's own.
    pub lr: f64,
    /// How the rate follows the batch size.
    pub lr_scaling: LrScaling,
    /// The batch size that `lr` is meant for.
    pub lr_batch: usize,
    /// Learning-rate schedule.
    pub schedule: ScheduleKind,
    /// Epochs of linear warm-up from 0, fractions allowed.
    pub warmup_epochs: f64,
    /// multi-step: epochs after which the rate is multiplied by `lr_gamma`.
    pub milestones: Vec<f64>,
    /// multi-step: the factor.
    pub lr_gamma: f64,
    /// sgd: momentum.
    pub momentum: f64,
    /// sgd: Nesterov's form of momentum.
    pub nesterov: bool,
    /// adamw: how much of the average of gradients is kept in an update.
    pub beta1: f64,
    /// adamw: the same of the average of their squares.
    pub beta2: f64,
    /// adamw: added to the root of the latter.
    pub adam_eps: f64,
    /// Weight decay w as in PyTorch: sgd adds w p to the gradient (an L2 penalty), adamw takes lr w p from the parameter.
    pub weight_decay: f64,
    /// Apply weight decay to the normalizers' scales and shifts and to biases, too.
    pub decay_norm: bool,
    /// Cross-entropy against (1-s)·one-hot + s/classes.
    pub label_smoothing: f64,

    /// Part of the training data set aside for validation, in [0, 1).
    pub val_fraction: f64,
    /// Use only this many training images (of those left by the validation split), drawn with every class in
    /// proportion, the same for every seed; 0: all.
    pub train_limit: usize,
    /// Use only this many test images, drawn likewise; 0: all.
    pub test_limit: usize,
    /// Pad by 4, crop at random, flip: `true`, `false`, or by data set where absent.
    pub augment: Option<bool>,

    /// Evaluate under batch statistics, too, at every epoch (rows `stats = batch`).
    pub gap: bool,
    /// Evaluate under re-estimated statistics, too, at every epoch (rows `stats = precise`).
    pub precise: bool,
    /// Evaluate by inference example weighing, too, at every epoch (rows `stats = weighing`), with the weight that is best on
    /// validation images.
    pub weighing: bool,
    /// Evaluate as a training batch normalizes on average, too, at every epoch (rows `stats = evalnorm`).
    pub evalnorm: bool,
    /// Images whose pooled statistics `precise`, `evalnorm`, `freeze_epochs` and the diagnostics use; 0: the whole training set.
    pub precise_examples: usize,
    /// Measure the distribution shift per layer into `diagnostics.csv`.
    pub diagnostics: bool,
    /// Steps between two measurements of `diagnostics`.
    pub diagnostics_every: usize,

    /// Device: `cpu`, `cuda`, `cuda:N` or `metal`.
    pub device: String,
    /// How the CPU computes: `fused` (own passes, Winograd's algorithm where it is faster), `direct` (own passes, direct
    /// convolutions only) or `plain` (one tensor operation after the other). The same numbers but for rounding.
    pub kernels: Kernels,

    /// The normalizer's parameters: the table of its name in the file (`[mbn]`).
    #[serde(skip)]
    pub norm_params: Table,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dataset: "digits".into(),
            data_digest: None,
            model: "lenet".into(),
            shortcut: Shortcut::Pad,
            init: Initialization::He,
            zero_init_residual: false,
            norm: "mbn".into(),
            double_forward: false,
            batch_size: 32,
            norm_batch_size: 0,
            epochs: 3,
            seed: 0,
            freeze_epochs: 0,
            optimizer: "sgd".into(),
            lr: 0.1,
            lr_scaling: LrScaling::Linear,
            lr_batch: 128,
            schedule: ScheduleKind::Cosine,
            warmup_epochs: 0.0,
            milestones: vec![],
            lr_gamma: 0.1,
            momentum: 0.9,
            nesterov: false,
            beta1: 0.9,
            beta2: 0.999,
            adam_eps: 1e-8,
            weight_decay: 1e-4,
            decay_norm: true,
            label_smoothing: 0.0,
            val_fraction: 0.0,
            train_limit: 0,
            test_limit: 0,
            augment: None,
            gap: true,
            precise: false,
            weighing: false,
            evalnorm: false,
            precise_examples: 8192,
            diagnostics: false,
            diagnostics_every: 50,
            device: "cpu".into(),
            kernels: Kernels::Fused,
            norm_params: Table::new(),
        }
    }
}
