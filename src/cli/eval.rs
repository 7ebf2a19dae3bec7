//! `mbn eval`: a checkpoint's loss and accuracy under statistics of your choice.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use mbn::record::{Split, Stats};
use mbn::run::{EvalRequest, Noise, evaluate_checkpoint};
use serde::Serialize;
use toml::Table;

use super::eval_report::describe;
use super::exit::End;
use super::settings::given;
use super::{DataDir, Threads, output};

const EXAMPLES: &str = "\
Examples:
  mbn eval results/runs/RUN                        the method's own inference statistics
  mbn eval results/runs/RUN --stats precise        statistics re-estimated over training images
  mbn eval results/runs/RUN --stats weighing       mixed with each image's own statistics
  mbn eval results/runs/RUN --weight-noise 0.1     noisy weights, before and after recalibration
  mbn eval results/runs/RUN/best.safetensors --split val --json
  mbn eval resnet20.safetensors --dataset cifar10 --model resnet20 --norm bn";

/// Arguments of `mbn eval`.
#[derive(Args)]
#[command(help_template = super::TEMPLATE, before_help = EXAMPLES)]
pub struct EvalArgs {
    /// A run folder (its last.safetensors) or a checkpoint
    #[arg(value_name = "RUN_DIR|CHECKPOINT")]
    path: PathBuf,
    /// Split to evaluate on
    #[arg(long, value_parser = splits(), default_value = "test", help_heading = "Data")]
    split: Split,
    /// Statistics to normalize with [default: the method's own]
    #[arg(long, value_parser = statistics(), help_heading = "Normalizer")]
    stats: Option<Stats>,
    /// Weight of each image's own statistics, 0 to 1, for --stats weighing [default: chosen on validation images]
    #[arg(long, value_name = "W", value_parser = super::number, allow_negative_numbers = true, help_heading = "Normalizer")]
    weight: Option<f64>,
    /// Normalization batch size, for --stats batch and evalnorm [default: as in training]
    #[arg(long, value_name = "N", value_parser = super::count, help_heading = "Normalizer")]
    batch_size: Option<usize>,
    /// Re-estimate statistics layer by layer, each layer's after those of the layers before it (slower), for --stats precise
    /// or --weight-noise
    #[arg(long, help_heading = "Normalizer")]
    layer_by_layer: bool,
    /// Also evaluate with Gaussian noise on the weights, of SD times each tensor's standard deviation, before and after
    /// statistics are re-estimated under it
    #[arg(long, value_name = "SD", value_parser = super::number, allow_negative_numbers = true, help_heading = "Noise")]
    weight_noise: Option<f64>,
    /// Number of noise draws; they are the same on every call [default: 5]
    #[arg(long, value_name = "K", value_parser = super::count, requires = "weight_noise", help_heading = "Noise")]
    noise_draws: Option<usize>,
    /// Set a key that the checkpoint does not record, such as a normalizer's parameter: gn.groups=4
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true, help_heading = "Normalizer")]
    set: Vec<String>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    pub(super) threads: Threads,
    /// Print one JSON document instead of a table
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Also write the first 64 images, their labels and logits to a new safetensors file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    dump: Option<PathBuf>,
}

/// Settings that override the checkpoint's; fields are named like their keys in the configuration.
#[derive(Args, Serialize)]
struct Overrides {
    /// Data set [default: the one trained on]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    dataset: Option<String>,
    /// Evaluate on only N test images, drawn in proportion to the classes
    #[arg(long, value_name = "N", value_parser = super::count, help_heading = "Data")]
    test_limit: Option<usize>,
    /// Training images to re-estimate statistics over; 0 for all of them [default: as in training]
    #[arg(long, value_name = "N", value_parser = super::count, help_heading = "Normalizer")]
    precise_examples: Option<usize>,
    /// Network, if the checkpoint does not record it (then --dataset and --norm are needed, too)
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    model: Option<String>,
    /// Normalizer, if the checkpoint does not record it
    #[arg(long, value_name = "NAME", help_heading = "Normalizer")]
    norm: Option<String>,
    /// Device [default: the one trained on]
    #[arg(long, value_name = "NAME", help_heading = "Machine")]
    device: Option<String>,
}

/// The splits a checkpoint can be evaluated on.
fn splits() -> impl TypedValueParser<Value = Split> {
    let values = Split::ALL.iter().map(|split| PossibleValue::new(split.name()));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Split>())
}

/// The statistics that a checkpoint can be evaluated under, each with its help text.
fn statistics() -> impl TypedValueParser<Value = Stats> {
    let values = [
        (Stats::Memory, "MBN's memory"),
        (Stats::Ema, "Running averages of batch statistics"),
        (Stats::Precise, "Re-estimated over training images"),
        (Stats::Weighing, "The method's own, mixed with each image's own"),
        (Stats::Evalnorm, "Re-estimated, mixed with each image's own as in a training batch (EvalNorm)"),
        (Stats::Batch, "Each batch's own"),
    ];
    let values = values.map(|(stats, help)| PossibleValue::new(stats.name()).help(help));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Stats>())
}

/// Runs `mbn eval`.
pub fn run(args: &EvalArgs) -> anyhow::Result<End> {
    let request = EvalRequest {
        source: args.data_dir.source(),
        path: args.path.clone(),
        settings: args.set.clone(),
        overrides: overrides(args)?,
        split: args.split,
        stats: args.stats,
        weight: args.weight,
        layer_by_layer: args.layer_by_layer,
        noise: args.weight_noise.map(|sd| Noise { sd, draws: args.noise_draws.unwrap_or(5) }),
        dump: args.dump.clone(),
    };
    let report = evaluate_checkpoint(&request)?;
    report.notes.iter().for_each(|note| output::note(&format!("note: {note}")));
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&describe(&report))?;
    }
    Ok(End::Done)
}

/// The settings that the flags change.
fn overrides(args: &EvalArgs) -> Result<Table, mbn::Error> {
    let mut table = given(&args.overrides)?;
    if let Some(size) = args.batch_size.and_then(|size| i64::try_from(size).ok()) {
        if !matches!(args.stats, Some(Stats::Batch | Stats::Evalnorm)) {
            return Err(mbn::Error::config(
                "--batch-size has an effect only with --stats batch or --stats evalnorm; add one of these, or leave --batch-size out",
            ));
        }
        table.insert("batch_size".into(), size.into());
        table.insert("norm_batch_size".into(), size.into());
    }
    Ok(table)
}
