//! The settings of a run. Keys that are CSV columns, too, have the same name there; files are TOML.

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::model::{Initialization, Kernels, Shortcut};

/// How the base learning rate scales with the batch size B, relative to `lr_batch`.
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
/// on the same data ([`Config::with_data_digest`]) have the same name, and on the same device the same numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Data set: see `mbn data list`.
    pub dataset: String,
    /// Digest of its images and labels ([`crate::data::digest()`]): set when the data are read; where it is given, the data
    /// must have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<String>,
    /// Network: see [`crate::model::MODELS`].
    pub model: String,
    /// Residual networks: shortcuts of blocks that change the feature map's size, `pad` (no parameters, option A) or
    /// `projection` (a 1x1 convolution, option B).
    pub shortcut: Shortcut,
    /// Weight initialization: `he` (normal, variance 2/fan_in, biases 0) or `torch` (PyTorch's default).
    pub init: Initialization,
    /// Residual networks: initialize the last scale of each block (with pre-activation, its last convolution) to 0, so
    /// that blocks start as their shortcuts.
    pub zero_init_residual: bool,
    /// Subtract from the weights before each normalizer their mean, output by output, and keep them so.
    pub center_weights: bool,
    /// Normalizer: see [`crate::norm::NORMS`].
    pub norm: String,
    /// Repeat the forward pass after each update, so that remembered statistics fit the new weights.
    pub double_forward: bool,
    /// Images per update.
    pub batch_size: usize,
    /// Images whose statistics are taken together: a batch is normalized in consecutive micro-batches of this size; 0: the
    /// batch size.
    pub norm_batch_size: usize,
    /// Passes over the training data.
    pub epochs: usize,
    /// Seed of initialization, order, augmentation and validation split.
    pub seed: u64,

    /// Number of final epochs with frozen statistics: re-estimated over training images when they begin, then constant.
    pub freeze_epochs: usize,

    /// Optimizer: see [`crate::train::OPTIMIZERS`].
    pub optimizer: String,
    /// Base learning rate, for batches of `lr_batch` images; where it is not given, the optimizer's own.
    pub lr: f64,
    /// How the rate scales with the batch size.
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
    /// sgd: Nesterov momentum.
    pub nesterov: bool,
    /// adamw: decay rate of the running mean of gradients.
    pub beta1: f64,
    /// adamw: decay rate of the running mean of squared gradients.
    pub beta2: f64,
    /// adamw: added to the square root of the latter in the denominator.
    pub adam_eps: f64,
    /// Weight decay w as in PyTorch: sgd adds w p to the gradient (an L2 penalty), adamw subtracts lr w p from the
    /// parameter.
    pub weight_decay: f64,
    /// Also apply weight decay to the normalizers' scales and shifts and to biases.
    pub decay_norm: bool,
    /// Label smoothing s in [0, 1): targets are (1-s)·one-hot + s/classes.
    pub label_smoothing: f64,

    /// Fraction of the training data set aside for validation, in [0, 1).
    pub val_fraction: f64,
    /// Use only this many training images (of those left by the validation split), drawn in proportion to the
    /// classes, the same for every seed where nothing is split off; 0: all.
    pub train_limit: usize,
    /// Use only this many test images, drawn in the same way; 0: all.
    pub test_limit: usize,
    /// Pad by 4, crop at random, flip; absent: the data set's default.
    pub augment: Option<bool>,

    /// Also evaluate the test images under batch statistics after every epoch (rows `stats = batch`).
    pub gap: bool,
    /// Also evaluate the test images under re-estimated statistics after every epoch (rows `stats = precise`).
    pub precise: bool,
    /// Also evaluate the test images by inference example weighing after every epoch (rows `stats = weighing`), with the
    /// weight that is best on validation images.
    pub weighing: bool,
    /// Also evaluate the test images with statistics that normalize as a training batch does on average (EvalNorm), after
    /// every epoch (rows `stats = evalnorm`).
    pub evalnorm: bool,
    /// Number of training images over which `precise`, `evalnorm`, `freeze_epochs` and the diagnostics estimate statistics;
    /// 0: all of them.
    pub precise_examples: usize,
    /// Measure the distribution shift of each layer and write it to `diagnostics.csv`.
    pub diagnostics: bool,
    /// Steps between two measurements of `diagnostics`.
    pub diagnostics_every: usize,

    /// Device: `cpu`, `cuda`, `cuda:N` or `metal`.
    pub device: String,
    /// CPU implementation: `fused` (fused kernels, Winograd convolutions where they are faster), `direct` (fused kernels,
    /// direct convolutions only) or `plain` (plain tensor operations). Results agree up to rounding.
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
            center_weights: false,
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
