//! The flags under their headings of `--help`; the lists of data sets, networks, normalizers and optimizers in the help
//! texts come from their tables.

use clap::Args;
use mbn::config::Config;
use mbn::data::DATASETS;
use mbn::model::MODELS;
use mbn::norm::NORMS;
use mbn::train::OPTIMIZERS;
use serde::Serialize;

#[derive(Args, Serialize)]
#[command(next_help_heading = "Data")]
pub(super) struct DataFlags {
    /// Data set [default: digits]; see `mbn data list`
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Fraction of the training data set aside for validation [default: 0]
    #[arg(long, value_name = "X", value_parser = crate::cli::number)]
    val_fraction: Option<f64>,
    /// Train on only N images, drawn in proportion to the classes, the same ones for every seed (with --val-fraction, of those
    /// that the seed's split leaves)
    #[arg(long, value_name = "N", value_parser = crate::cli::count)]
    train_limit: Option<usize>,
    /// Test on only N images, drawn in the same way
    #[arg(long, value_name = "N", value_parser = crate::cli::count)]
    test_limit: Option<usize>,
    #[arg(long, num_args = 0, default_missing_value = "true", conflicts_with = "no_augment", help = augment_help())]
    augment: Option<bool>,
    /// Do not augment the training images
    #[arg(long)]
    #[serde(skip)]
    pub(super) no_augment: bool,
}

#[derive(Args, Serialize)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelFlags {
    #[arg(long, value_name = "NAME", help = model_help())]
    model: Option<String>,
    /// Shortcuts of residual blocks that change the feature map's size [default: pad]: pad (option A), projection (option B)
    #[arg(long, value_name = "KIND")]
    shortcut: Option<String>,
    /// Initialize the last scale of each residual block (preact-resnetD: its last convolution) to 0, so that blocks start
    /// as their shortcuts
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    zero_init_residual: Option<bool>,
    /// Keep the mean of each output's weights before a normalizer at 0, as mabn always does
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    center_weights: Option<bool>,
    /// Weight initialization [default: he]: he (normal, variance 2/fan_in), torch (PyTorch's default, uniform)
    #[arg(long, value_name = "NAME")]
    init: Option<String>,
}

#[derive(Args, Serialize)]
#[command(next_help_heading = "Normalizer")]
pub(super) struct NormFlags {
    #[arg(long, value_name = "NAME", help = norm_help())]
    norm: Option<String>,
    /// Repeat the forward pass after each update, so that remembered statistics fit the new weights
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    double_forward: Option<bool>,
    /// Take statistics over micro-batches of N consecutive images of each batch [default: the batch size]
    #[arg(long, value_name = "N", value_parser = crate::cli::count)]
    norm_batch_size: Option<usize>,
}

#[derive(Args, Serialize)]
#[command(next_help_heading = "Optimization")]
pub(super) struct OptimizationFlags {
    /// Images per update; images are reshuffled every epoch, and an incomplete last batch is dropped [default: 32]
    #[arg(long, value_name = "N", value_parser = crate::cli::count)]
    batch_size: Option<usize>,
    /// Passes over the training data [default: 3]
    #[arg(long, value_name = "N", value_parser = crate::cli::count)]
    epochs: Option<usize>,
    /// Number of final epochs with frozen statistics, which are re-estimated over training images when these epochs begin
    /// [default: 0]
    #[arg(long, value_name = "N", value_parser = crate::cli::count)]
    freeze_epochs: Option<usize>,
    #[arg(long, value_name = "NAME", help = optimizer_help())]
    optimizer: Option<String>,
    #[arg(long, value_name = "X", help = lr_help(), value_parser = crate::cli::number)]
    lr: Option<f64>,
    /// How the learning rate scales with the batch size [default: linear]: linear, sqrt, none
    #[arg(long, value_name = "RULE")]
    lr_scaling: Option<String>,
    /// Learning-rate schedule [default: cosine]: constant, multi-step (with --set 'milestones=[2, 3]'), cosine
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Epochs of linear warm-up [default: 0]
    #[arg(long, value_name = "X", value_parser = crate::cli::number)]
    warmup_epochs: Option<f64>,
    /// Momentum of sgd [default: 0.9]
    #[arg(long, value_name = "X", value_parser = crate::cli::number)]
    momentum: Option<f64>,
    /// Nesterov momentum for sgd
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    nesterov: Option<bool>,
    /// Weight decay, as an L2 penalty (sgd) or decoupled (adamw) [default: 0.0001]
    #[arg(long, value_name = "X", value_parser = crate::cli::number)]
    weight_decay: Option<f64>,
    /// Label-smoothing factor [default: 0]
    #[arg(long, value_name = "X", value_parser = crate::cli::number)]
    label_smoothing: Option<f64>,
    /// Seed for initialization, shuffling, augmentation and the validation split [default: 0]
    #[arg(long, value_name = "N", value_parser = crate::cli::count)]
    seed: Option<usize>,
}

#[derive(Args, Serialize)]
#[command(next_help_heading = "Machine")]
pub(super) struct MachineFlags {
    /// Device [default: cpu]: cpu, cuda, cuda:N, metal
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
}

#[derive(Args, Serialize)]
#[command(next_help_heading = "Output")]
pub(super) struct MeasureFlags {
    /// Also evaluate under statistics re-estimated over training images
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    precise: Option<bool>,
    /// Also evaluate with each image's own statistics mixed in, by the weight that is best on validation images
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    weighing: Option<bool>,
    /// Also evaluate with statistics that normalize as a training batch does on average (EvalNorm)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    evalnorm: Option<bool>,
    /// Skip the evaluation under batch statistics, which measures the train/inference gap
    #[arg(long)]
    #[serde(skip)]
    pub(super) no_gap: bool,
    /// Measure the distribution shift of each layer and write it to diagnostics.csv
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    diagnostics: Option<bool>,
}

#[derive(Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct LayerFlags {
    /// Read settings from a TOML file, such as a run folder's config.toml; - for stdin
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<std::path::PathBuf>,
    /// Set any key of config.toml, or a normalizer's parameter, such as mbn.size=16; overrides the file
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub(super) set: Vec<String>,
}

/// The data sets that are augmented by default, from their table.
fn augment_help() -> String {
    let names: Vec<&str> = DATASETS.iter().filter(|kind| kind.augment).map(|kind| kind.name).collect();
    format!("Pad, crop and flip training images at random [default: for {}]", names.join(", "))
}

/// The optimizers by name, from their table.
fn optimizer_help() -> String {
    let names = OPTIMIZERS.iter().map(|kind| format!("{} ({})", kind.name, kind.about));
    format!("Optimizer [default: {}]: {}", Config::default().optimizer, names.collect::<Vec<_>>().join(", "))
}

/// The default learning rate of every optimizer.
fn lr_help() -> String {
    let config = Config::default();
    let others = OPTIMIZERS.iter().filter(|kind| kind.name != config.optimizer);
    let others: String = others.map(|kind| format!("; default with {}: {}", kind.name, kind.lr)).collect();
    let (lr, batch) = (config.lr, config.lr_batch);
    format!("Learning rate for batches of lr_batch = {batch} images, scaled to the batch size{others} [default: {lr}]")
}

/// The networks by name, from their table.
fn model_help() -> String {
    let names = MODELS.iter().map(|family| format!("{} ({})", family.name, family.about));
    format!("Network [default: {}]: {}", Config::default().model, names.collect::<Vec<_>>().join(", "))
}

/// The normalizers by name, from their table.
fn norm_help() -> String {
    let names = NORMS.iter().map(|kind| format!("{} ({})", kind.name, kind.about)).collect::<Vec<_>>().join(", ");
    format!("Normalizer [default: {}]: {names}; for its parameters, see --set", Config::default().norm)
}
