//! `mbn bench`: throughput of training or evaluation, one CSV row per network, normalizer and batch size.

use std::time::Duration;

use clap::Args;
use mbn::Error;
use mbn::bench::{BenchCase, StepTime};
use mbn::model::Kernels;
use mbn::norm::{Kind, NORMS};
use mbn::run::open_device;

use super::exit::End;
use super::output;

const EXAMPLES: &str = "\
Examples:
  mbn bench                                                 resnet20 and lenet, one thread
  mbn bench --models resnet20 --norms bn mbn-df --batch-sizes 2 8 --threads 2
  mbn bench --models resnet20 --norms all --batch-sizes 2   what each normalizer costs
  mbn bench --models resnet20 --norms bn --eval             evaluation instead of training";

/// The config key `kernels`, as a flag.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum KernelsArg {
    /// Fused kernels, with Winograd convolutions where they are faster
    Fused,
    /// Fused kernels, with direct convolutions only
    Direct,
    /// Plain tensor operations, no fused kernels
    Plain,
}

impl From<KernelsArg> for Kernels {
    fn from(arg: KernelsArg) -> Self {
        match arg {
            KernelsArg::Fused => Self::Fused,
            KernelsArg::Direct => Self::Direct,
            KernelsArg::Plain => Self::Plain,
        }
    }
}

/// Arguments of `mbn bench`.
#[derive(Args)]
#[command(help_template = super::TEMPLATE, before_help = EXAMPLES)]
pub struct BenchArgs {
    /// Networks
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["resnet20", "lenet"])]
    models: Vec<String>,
    /// Normalizers; the suffix -df adds Double-Forward; `all` stands for every normalizer, also with -df if it supports it
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["bn", "mbn", "mbn-df"])]
    norms: Vec<String>,
    /// Images per step
    #[arg(long, value_name = "N", num_args = 1.., value_parser = super::count, default_values = ["2", "4", "8", "32", "128"])]
    batch_sizes: Vec<usize>,
    /// CPU threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::positive)]
    pub(super) threads: u16,
    /// Seconds per measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = super::seconds)]
    seconds: f64,
    /// CPU implementation
    #[arg(long, value_name = "KIND", value_enum, default_value_t = KernelsArg::Fused)]
    kernels: KernelsArg,
    /// Run Double-Forward's second pass at the end of each step instead of together with the next step's first pass
    #[arg(long, conflicts_with = "eval")]
    separate_refresh: bool,
    /// Measure evaluation (forward pass, loss, accuracy) instead of training; the columns are the same
    #[arg(long)]
    eval: bool,
    /// Also show where a step's time goes, by operation, on stderr
    #[arg(long)]
    profile: bool,
    /// Device: cpu, cuda, cuda:N, metal
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    device: String,
}

impl BenchArgs {
    /// The normalizers, with `all` expanded.
    fn norms(&self) -> Vec<String> {
        let both = |kind: &Kind| {
            let doubled = kind.refreshes.then(|| format!("{}-df", kind.name));
            std::iter::once(kind.name.to_string()).chain(doubled)
        };
        let written_out = |name: &String| match name.as_str() {
            "all" => NORMS.iter().flat_map(both).collect(),
            _ => vec![name.clone()],
        };
        self.norms.iter().flat_map(written_out).collect()
    }

    fn cases(&self) -> Vec<BenchCase> {
        let mut cases = vec![];
        let norms = self.norms();
        for model in &self.models {
            for norm in &norms {
                cases.extend(self.batch_sizes.iter().map(|&batch_size| BenchCase {
                    model: model.clone(),
                    norm: norm.clone(),
                    batch_size,
                    kernels: self.kernels.into(),
                    separate_refresh: self.separate_refresh,
                    evaluation: self.eval,
                }));
            }
        }
        cases
    }
}

/// Runs `mbn bench`. A row has no rate where the normalizer is undefined at its batch size.
pub fn run(args: &BenchArgs) -> anyhow::Result<End> {
    let device = open_device(&args.device)?;
    if args.separate_refresh && !args.norms().iter().any(|norm| norm.ends_with("-df")) {
        let why =
            "--separate-refresh has no effect: none of --norms has Double-Forward; add -df to one, or omit the flag";
        return Err(Error::config(why).into());
    }
    let cases = args.cases();
    cases.iter().try_for_each(BenchCase::check)?;
    output::print("impl,model,norm,batch_size,threads,images_per_s,ms_per_step\n")?;
    for case in &cases {
        let measured = case.measure(&device, Duration::from_secs_f64(args.seconds), args.profile)?;
        let BenchCase { model, norm, batch_size, .. } = case;
        let numbers = match &measured {
            Some(StepTime { step, .. }) => {
                let seconds = step.as_secs_f64();
                format!("{:.1},{:.3}", *batch_size as f64 / seconds, 1e3 * seconds)
            }
            None => ",".into(),
        };
        let (version, threads) = (env!("CARGO_PKG_VERSION"), args.threads);
        output::print(&format!("mbn-{version},{model},{norm},{batch_size},{threads},{numbers}\n"))?;
        measured.iter().for_each(show_operations);
    }
    Ok(End::Done)
}

/// Prints where a step's time goes, to stderr.
fn show_operations(measured: &StepTime) {
    let known: Duration = measured.operations.iter().map(|(_, time)| *time).sum();
    let rest = ("everything else", measured.step.saturating_sub(known));
    for (name, time) in measured.operations.iter().copied().chain((known > Duration::ZERO).then_some(rest)) {
        let share = 100.0 * time.as_secs_f64() / measured.step.as_secs_f64();
        eprintln!("  {share:5.1} %  {:9.3} ms  {name}", 1e3 * time.as_secs_f64());
    }
}
