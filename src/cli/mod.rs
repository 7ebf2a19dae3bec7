//! The command line: one file per command, no logic that a user of the library could want.

mod bench;
mod compare;
mod data;
mod eval;
mod exit;
mod interrupt;
mod output;
mod progress;
mod settings;
mod sweep;
mod sweep_dry_run;
mod sweep_progress;
mod train;
mod worker;

use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

/// Memorized Batch Normalization with Double-Forward: training, evaluation, sweeps, data.
#[derive(Parser)]
#[command(name = "mbn", version, arg_required_else_help = true, help_template = TEMPLATE, before_help = EXAMPLES)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed or diverged (sweep: runs failed or died), 2 wrong usage, 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What it is, examples, then the reference.
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

#[derive(Subcommand)]
enum Command {
    /// Train a network; an interrupted run is resumed, a finished one is not repeated
    Train(Box<train::TrainArgs>),
    /// Evaluate a checkpoint under the statistics of your choice
    Eval(eval::EvalArgs),
    /// Compare runs: tables with intervals, pictures, one page
    #[command(arg_required_else_help = true)]
    Compare(compare::CompareArgs),
    /// Train a grid of settings, each run in a process of its own; the same command continues it
    #[command(arg_required_else_help = true)]
    Sweep(sweep::SweepArgs),
    /// One run of a sweep, started by it
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
    /// List, download and check data sets
    #[command(arg_required_else_help = true)]
    Data(data::DataArgs),
    /// Measure throughput of training or evaluation
    Bench(bench::BenchArgs),
}

/// Where data is on this machine.
#[derive(Args)]
struct DataDir {
    /// Folder looked at first for data, such as DIR/mnist/*.gz or DIR/cifar-10-binary.tar.gz
    #[arg(long, value_name = "DIR", env = "MBN_DATA_DIR", hide_env_values = true, help_heading = "Data")]
    data_dir: Option<std::path::PathBuf>,
}

impl DataDir {
    fn source(&self) -> mbn::data::Source {
        mbn::data::Source::with_data_dir(self.data_dir.clone())
    }
}

/// How much of this machine to use; the results are the same.
#[derive(Args)]
struct Threads {
    /// CPU threads [default: as many as there are cores, or RAYON_NUM_THREADS]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Machine")]
    threads: Option<u16>,
}

impl Command {
    /// The number of threads asked for.
    fn threads(&self) -> Option<u16> {
        match self {
            Self::Train(args) => args.threads.threads,
            Self::Eval(args) => args.threads.threads,
            Self::Data(_) | Self::Compare(_) | Self::Sweep(_) | Self::Worker(_) => None,
            Self::Bench(args) => Some(args.threads),
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

/// The command line. Values may be negative numbers, so that what is said about one is about its value.
fn parse() -> Result<Cli, clap::Error> {
    let with_negative = |arg: clap::Arg| match arg.get_action().takes_values() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    };
    let mut command = Cli::command().mut_subcommands(|command| command.mut_args(with_negative));
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Parses, runs, reports: the whole program.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    if let Some(threads) = cli.command.threads() {
        // candle and its matrix products read this variable; the thread pool is not yet started.
        std::env::set_var("RAYON_NUM_THREADS", threads.to_string());
    }
    // Inside the pool, work is shared with the other threads without waking and waiting for this one at every operation.
    exit::report(rayon::scope(|_| match &cli.command {
        Command::Train(args) => train::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Sweep(args) => sweep::run(args),
        Command::Worker(args) => worker::run(args),
        Command::Data(args) => data::run(args),
        Command::Bench(args) => bench::run(args),
    }))
}
