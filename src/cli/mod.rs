//! The command line: one file per command, and no logic that a user of the library would need.

mod bench;
mod compare;
mod data;
mod eval;
mod eval_report;
mod exit;
mod interrupt;
mod manual;
mod memory;
mod output;
mod progress;
mod settings;
mod signals;
mod sweep;
mod sweep_dry_run;
mod sweep_progress;
mod threads;
mod train;
mod worker;

use std::process::ExitCode;

pub use memory::Allocator;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use mbn::data::{Origin, Source};

/// Memorized Batch Normalization with Double-Forward: training, evaluation, sweeps, data.
#[derive(Parser)]
#[command(name = "mbn", version = env!("MBN_VERSION"), arg_required_else_help = true, help_template = TEMPLATE, before_help = EXAMPLES)]
#[command(after_help = exit_codes())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Description, examples, then the reference.
const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &str = "\
Examples:
  mbn train                                   digits, lenet, mbn: needs no files
  mbn train --norm mbn --double-forward --batch-size 2
  mbn train --dataset mnist --data-dir ./data --norm bn --batch-size 64
  mbn eval results/runs/RUN --stats precise
  mbn compare results/runs --out report
  mbn sweep experiments/smoke.toml --jobs 2
  mbn data list";

fn exit_codes() -> String {
    let codes = exit::CODES.map(|(code, meaning)| format!("{code} {meaning}"));
    format!("Exit codes: {}.", codes.join(", "))
}

#[derive(Subcommand)]
enum Command {
    /// Train a network; an interrupted run is resumed, a finished one is not repeated
    Train(Box<train::TrainArgs>),
    /// Evaluate a checkpoint under statistics of your choice
    Eval(eval::EvalArgs),
    /// Compare runs: tables with confidence intervals, charts, an HTML report
    #[command(arg_required_else_help = true)]
    Compare(compare::CompareArgs),
    /// Train over a grid of settings, each run in its own process; the same command continues the sweep
    #[command(arg_required_else_help = true)]
    Sweep(sweep::SweepArgs),
    /// Train one run of a sweep; started by the sweep itself
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
    /// List, download and check data sets
    #[command(arg_required_else_help = true)]
    Data(data::DataArgs),
    /// Measure throughput of training or evaluation
    Bench(bench::BenchArgs),
    /// Print a shell completion script
    #[command(arg_required_else_help = true)]
    Completions(manual::CompletionsArgs),
    /// Print a manual page, such as `mbn man train | man -l -`
    Man(manual::ManArgs),
}

/// Where data is on this machine.
#[derive(Args)]
struct DataDir {
    /// Folder to look for data in first, such as DIR/mnist/*.gz or DIR/cifar-10-binary.tar.gz [default: the environment
    /// variable MBN_DATA_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    data_dir: Option<std::path::PathBuf>,
}

impl DataDir {
    const VARIABLE: &str = "MBN_DATA_DIR";

    fn source(&self) -> Source {
        // Not by clap's `env`, which would take an empty variable for a value.
        let variable = || std::env::var_os(Self::VARIABLE).filter(|dir| !dir.is_empty()).map(Into::into);
        let source = Source::with_data_dir(self.data_dir.clone().or_else(variable));
        match self.data_dir {
            Some(_) => source,
            None => Source { data_dir_from: Self::VARIABLE, ..source },
        }
    }

    /// A note where --data-dir is given but all data sets are generated.
    fn without_effect<'a>(&self, datasets: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let mut first = None;
        for name in datasets {
            let kind = mbn::data::find(name).ok()?;
            matches!(kind.origin, Origin::Generated { .. }).then_some(())?;
            first = first.or(Some(kind.name));
        }
        let (_, generated) = (self.data_dir.as_ref()?, first?);
        Some(format!("note: --data-dir has no effect: {generated} is generated and needs no files"))
    }
}

/// How much of this machine to use; results do not depend on it.
#[derive(Args)]
struct Threads {
    /// CPU threads [default: RAYON_NUM_THREADS, else the number of cores]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Machine")]
    threads: Option<u16>,
}

impl Command {
    /// The number of threads asked for.
    fn threads(&self) -> Option<u16> {
        match self {
            Self::Train(args) => args.threads.threads,
            Self::Eval(args) => args.threads.threads,
            Self::Bench(args) => Some(args.threads),
            _ => None,
        }
    }

    /// The options with which the command takes less memory.
    fn memory_hint(&self) -> &'static str {
        match self {
            Self::Train(_) => "use a smaller --batch-size, or fewer --threads, or ",
            Self::Bench(_) => "use smaller --batch-sizes, or fewer --threads, or ",
            Self::Eval(_) => "use fewer --threads, or ",
            Self::Sweep(_) | Self::Worker(_) => "use a smaller batch_size, or fewer --jobs or --threads, or ",
            _ => "",
        }
    }

    fn run(&self) -> anyhow::Result<exit::End> {
        // Those that have something to save handle signals by themselves.
        if !matches!(self, Self::Train(_) | Self::Sweep(_) | Self::Worker(_)) {
            interrupt::install_exit()?;
        }
        match self {
            Self::Train(args) => train::run(args),
            Self::Eval(args) => eval::run(args),
            Self::Compare(args) => compare::run(args),
            Self::Sweep(args) => sweep::run(args),
            Self::Worker(args) => worker::run(args),
            Self::Data(args) => data::run(args),
            Self::Bench(args) => bench::run(args),
            Self::Completions(args) => manual::completions(args),
            Self::Man(args) => manual::man(args),
        }
    }
}

/// A time in seconds, fractions allowed.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e9).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds, 0 or more".into()),
    }
}

/// A count, such as of images, within the range of integers in TOML.
fn count(text: &str) -> Result<usize, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    match digits.parse::<usize>() {
        Ok(count) if i64::try_from(count).is_ok() => Ok(count),
        _ if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) => {
            Err(format!("too large; at most {}", i64::MAX))
        }
        _ => Err("expected a whole number, not negative".into()),
    }
}

/// A number, such as a learning rate.
fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "expected a number".into())
}

/// A number of threads or of runs at a time.
fn positive(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("expected a whole number, 1 to {}", u16::MAX)),
    }
}

/// The command line. Negative numbers are taken as values, so that the error about one names its range, not an unknown
/// flag.
fn command() -> clap::Command {
    let takes_values = |arg: &clap::Arg| arg.get_action().takes_values() && arg.get_num_args() != Some(0.into());
    let with_negative = |arg: clap::Arg| match takes_values(&arg) {
        true => arg.allow_negative_numbers(true),
        false => arg,
    };
    Cli::command().mut_subcommands(|command| command.mut_args(with_negative))
}

fn parse() -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The whole program: parses the command line, runs the command, reports the result.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    signals::install();
    memory::note_hint(cli.command.memory_hint());
    exit::report(threads::start(cli.command.threads()).and_then(|()| {
        // On a thread of the pool: from outside, every parallel operation would hand its work over to the pool and wait.
        rayon::scope(|_| cli.command.run())
    }))
}
