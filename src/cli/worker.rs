//! `mbn worker`: one run of a sweep, started by the sweep. It reads the configuration from stdin, reports progress on
//! stdout, and saves and stops when stdin ends, as it does when the sweep is stopped or dies.

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use mbn::Error;
use mbn::config::{Config, Layers};
use mbn::record::{MetricRow, Status};
use mbn::run::{self, Outcome, RunOptions, RunPlan, Watcher};
use mbn::sweep::{Ending, Event};
use mbn::train::StepReport;

use super::exit::End;
use super::progress::EpochMeans;
use super::{DataDir, interrupt, memory, output};

/// Time between two progress reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(200);

/// Arguments of `mbn worker`.
#[derive(Args)]
pub struct WorkerArgs {
    /// The run's name
    run: String,
    #[command(flatten)]
    data_dir: DataDir,
    /// Folder of the run folders
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seconds between checkpoints
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    checkpoint_every: f64,
}

/// Runs `mbn worker`.
pub fn run(args: &WorkerArgs) -> anyhow::Result<End> {
    let stop = interrupt::install([None, None])?;
    let config = configuration(args)?;
    let listen = move || {
        // Nothing more is written to stdin: this returns when the sweep closes it.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.store(true, Ordering::Relaxed);
    };
    thread::Builder::new().spawn(listen).context("cannot start a thread")?;
    let options = RunOptions {
        out: args.out.clone(),
        source: args.data_dir.source(),
        recover: true,
        checkpoint_every: Duration::from_secs_f64(args.checkpoint_every),
        stop: Some(stop),
        ..RunOptions::default()
    };
    let ending = match run::run(&config, &options, &mut Reporter::new(stop)) {
        Ok(Outcome::Done { summary, .. }) if summary.status == Status::Diverged => Ending::Diverged,
        Ok(Outcome::Done { .. }) => Ending::Done,
        Ok(Outcome::Interrupted { .. }) => Ending::Stopped,
        Err(Error::Busy { .. }) => Ending::Busy,
        Err(error) => Ending::Failed(error.to_string()),
    };
    output::print(&Event::Over(ending).to_line())?;
    Ok(End::Done)
}

/// The configuration in the first line of stdin.
fn configuration(args: &WorkerArgs) -> anyhow::Result<Config> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("stdin")?;
    let text: String = serde_json::from_str(&line).context("stdin: `mbn worker` is started by `mbn sweep`")?;
    let config = Layers::new().text(&args.run, &text)?.resolve()?;
    anyhow::ensure!(config.run_name()? == args.run, "stdin holds the configuration of another run than {}", args.run);
    Ok(config)
}

/// Reports the progress of the run to the sweep.
struct Reporter {
    stop: &'static AtomicBool,
    total: usize,
    epochs: usize,
    running: EpochMeans,
    last: Instant,
    steps_per_epoch: usize,
}

impl Reporter {
    fn new(stop: &'static AtomicBool) -> Self {
        Self { stop, total: 0, epochs: 0, running: EpochMeans::new(), last: Instant::now(), steps_per_epoch: 0 }
    }

    /// If nobody reads stdout any more, the sweep is gone: the run saves and stops.
    fn say(&self, event: &Event) {
        if output::try_print(&event.to_line()).is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Watcher for Reporter {
    fn start(&mut self, plan: &RunPlan) {
        memory::note_step(plan.step_bytes);
        (self.epochs, self.steps_per_epoch) = (plan.epochs, plan.steps_per_epoch);
        self.total = plan.epochs * plan.steps_per_epoch;
        self.running = EpochMeans::new();
        let done = plan.epoch * plan.steps_per_epoch + plan.batch;
        self.say(&Event::Step { done, total: self.total, text: String::new() });
    }

    fn note(&mut self, text: &str) {
        self.say(&Event::Note(text.to_string()));
    }

    fn step(&mut self, epoch: usize, batch: usize, report: &StepReport) {
        self.running.add(report);
        if self.last.elapsed() >= REPORT_INTERVAL {
            let text = format!("epoch {epoch}/{}  {}", self.epochs, self.running.describe());
            let done = epoch.saturating_sub(1) * self.steps_per_epoch + batch;
            self.say(&Event::Step { done, total: self.total, text });
            self.last = Instant::now();
        }
    }

    fn epoch(&mut self, _: usize, _: &[MetricRow]) {
        self.running = EpochMeans::new();
    }
}
