//! `mbn bench`: training throughput, one CSV row per network, normalizer and batch size.

use std::time::Duration;

use clap::Args;
use mbn::bench::Cell;
use mbn::run::open_device;

use super::exit::End;
use super::output;

const EXAMPLES: &str = "\
Examples:
  mbn bench                                              resnet20 and lenet, one thread
  mbn bench --models resnet20 --norms bn mbn-df --batch-sizes 2 8 --threads 2";

/// Arguments of `mbn bench`.
#[derive(Args)]
#[command(help_template = super::TEMPLATE, before_help = EXAMPLES)]
pub struct BenchArgs {
    /// Networks
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["resnet20", "lenet"])]
    models: Vec<String>,
    /// Normalizers; -df behind a name adds Double-Forward
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["bn", "mbn", "mbn-df"])]
    norms: Vec<String>,
    /// Images per step
    #[arg(long, value_name = "N", num_args = 1.., default_values = ["2", "4", "8", "32", "128"])]
    batch_sizes: Vec<usize>,
    /// CPU threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) threads: u16,
    /// Seconds per measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = super::seconds)]
    seconds: f64,
    /// Device: cpu, cuda, cuda:N, metal
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    device: String,
}

/// Runs `mbn bench`. A row's rate is empty where the normalizer refuses the batch size.
pub fn run(args: &BenchArgs) -> anyhow::Result<End> {
    let device = open_device(&args.device)?;
    output::print("impl,model,norm,batch_size,threads,images_per_s,ms_per_step\n")?;
    for model in &args.models {
        for norm in &args.norms {
            for &batch_size in &args.batch_sizes {
                let cell = Cell { model: model.clone(), norm: norm.clone(), batch_size };
                let rate = cell.steps_per_second(&device, Duration::from_secs_f64(args.seconds))?;
                let numbers = match rate {
                    Some(rate) => format!("{:.1},{:.3}", rate * batch_size as f64, 1e3 / rate),
                    None => ",".into(),
                };
                let (version, threads) = (env!("CARGO_PKG_VERSION"), args.threads);
                output::print(&format!("mbn-{version},{model},{norm},{batch_size},{threads},{numbers}\n"))?;
            }
        }
    }
    Ok(End::Done)
}
