//! `mbn sweep`: trains the runs of a sweep file, each in its own process, and writes their summary.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use clap::Args;
use mbn::Error;
use mbn::data::Source;
use mbn::record::Status;
use mbn::sweep::{self, Job, Need, Shard, State, SummaryTable, Sweep, SweepOptions, Tally, look};

use super::exit::End;
use super::sweep_dry_run::DryRun;
use super::sweep_progress::SweepProgress;
use super::{DataDir, interrupt, output, threads};

const EXAMPLES: &str = "\
Examples:
  mbn sweep experiments/smoke.toml                        into results/smoke
  mbn sweep FILE.toml --dry-run                           what is left to do, and the expected time
  mbn sweep FILE.toml --jobs 2 --data-dir ./data
  mbn sweep FILE.toml --shard 3/20                        the third of 20 parts, for a job queue

The same command continues an interrupted sweep. Several calls may work in the same folder at once, on one machine or \
on several: they share the runs.";

/// Arguments of `mbn sweep`.
#[derive(Args)]
#[command(help_template = super::TEMPLATE, before_help = EXAMPLES)]
pub struct SweepArgs {
    /// Sweep file; see experiments/README.md
    file: PathBuf,
    #[command(flatten)]
    data_dir: DataDir,
    /// Number of runs in parallel
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::positive, help_heading = "Machine")]
    jobs: u16,
    /// CPU threads per run [default: the cores divided by --jobs]
    #[arg(long, value_name = "N", value_parser = super::positive, help_heading = "Machine")]
    threads: Option<u16>,
    /// Train only the I-th run, counting from 1
    #[arg(long, value_name = "I", value_parser = super::count, conflicts_with = "shard", help_heading = "Part of the sweep")]
    index: Option<usize>,
    /// Train only every N-th run, starting with the M-th
    #[arg(long, value_name = "M/N", help_heading = "Part of the sweep")]
    shard: Option<Shard>,
    /// Repeat the runs that failed in an earlier call
    #[arg(long, help_heading = "Part of the sweep")]
    retry_failed: bool,
    /// Sweep folder [default: results/<the file's name>]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Print the runs, their state and the expected time, and exit
    #[arg(long, help_heading = "Output")]
    dry_run: bool,
    /// Rebuild summary.csv from the run folders, and exit
    #[arg(long, conflicts_with_all = ["dry_run", "index", "shard", "retry_failed"], help_heading = "Output")]
    collect: bool,
    /// Seconds between checkpoints within an epoch; one is also saved after every epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = super::seconds, help_heading = "Output")]
    checkpoint_every: f64,
    /// No progress on stderr
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// Runs `mbn sweep`.
pub fn run(args: &SweepArgs) -> anyhow::Result<End> {
    let sweep = Sweep::load(&args.file)?;
    if !args.quiet {
        sweep.notes.iter().for_each(|note| output::note(&format!("note: {note}")));
        let datasets = sweep.jobs.iter().map(|job| &*job.config.dataset);
        args.data_dir.without_effect(datasets).iter().for_each(|note| output::note(note));
    }
    let selection = args.selection(sweep.jobs.len())?;
    let (out, source) = (args.out(), args.data_dir.source());
    if args.collect {
        return collect(&on_data(sweep, &out, source)?, &out);
    }
    if args.dry_run {
        sweep::check(&sweep.jobs.iter().collect::<Vec<_>>(), None)?;
        let sweep = on_data(sweep, &out, source)?;
        let plan = DryRun::new(&sweep, &selection, &out, args.retry_failed)?;
        output::print(&plan.show(args.jobs.into()))?;
        return Ok(End::Done);
    }
    let (sweep, _) = sweep.on_data(&out, &source, Need::Data)?;
    check_folder(&out, &sweep)?;
    let chosen: Vec<&Job> = selection.iter().map(|&index| &sweep.jobs[index]).collect();
    let to_do = |job: &&&Job| match look(&out.join("runs").join(&job.name)) {
        State::Over(summary) => args.retry_failed && summary.status == Status::Failed,
        _ => true,
    };
    let open: Vec<&Job> = chosen.iter().filter(to_do).copied().collect();
    sweep::check(&open, Some(&source))?;
    let stop = interrupt::install([None, Some("interrupted again: stopped at once; the same command continues")])?;
    let command = |job: &Job| args.command(job, &out);
    let options = SweepOptions {
        out: out.clone(),
        selection,
        jobs: args.jobs.into(),
        retry_failed: args.retry_failed,
        command: &command,
        stop: Some(stop),
    };
    let mut progress = SweepProgress::new(args.quiet, chosen.len(), args.jobs.into());
    let result = sweep::run(&sweep, &options, &mut progress);
    progress.finish();
    let tally = result?;
    output::print(&format!("{}; {}\n", counts(&tally), out.join("summary.csv").display()))?;
    Ok(end(&tally, args))
}

/// Refuses to overwrite a `sweep.toml` of the user's: the sweep keeps a copy of its file under that name, and in a
/// folder that holds no sweep yet the file is not such a copy.
fn check_folder(out: &Path, sweep: &Sweep) -> Result<(), Error> {
    let has = |name: &str| out.join(name).exists();
    let kept = out.join("sweep.toml");
    let other = fs::read(&kept).is_ok_and(|bytes| bytes != sweep.text.as_bytes());
    match other && !has("runs") && !has("summary.csv") {
        true => Err(sweep::foreign(&kept)),
        false => Ok(()),
    }
}

impl SweepArgs {
    /// `results/` and the file's name without its ending.
    fn out(&self) -> PathBuf {
        let stem = self.file.file_stem().unwrap_or(self.file.as_os_str());
        self.out.clone().unwrap_or_else(|| Path::new("results").join(stem))
    }

    /// The positions of the runs asked for.
    fn selection(&self, count: usize) -> Result<Vec<usize>, Error> {
        match (self.index, self.shard) {
            (Some(index), _) if (1..=count).contains(&index) => Ok(vec![index - 1]),
            (Some(index), _) => Err(Error::config(format!("--index {index}: the sweep has the runs 1 to {count}"))),
            (None, Some(shard)) => Ok(shard.of(count).collect()),
            (None, None) => Ok((0..count).collect()),
        }
    }

    /// CPU threads of each run.
    fn threads(&self) -> usize {
        let cores = available_parallelism().map_or(1, usize::from);
        self.threads.map_or((cores / usize::from(self.jobs)).max(1), usize::from)
    }

    /// This program, as the worker of one run.
    fn command(&self, job: &Job, out: &Path) -> Command {
        let mut command = this_program();
        command.arg("worker").arg(&job.name).arg("--out").arg(out.join("runs"));
        command.arg("--checkpoint-every").arg(self.checkpoint_every.to_string());
        if let Some(dir) = &self.data_dir.data_dir {
            command.arg("--data-dir").arg(dir);
        }
        command.env(threads::VARIABLE, self.threads().to_string());
        command
    }
}

/// This program. On Linux it is the running binary itself, even if the file has been rebuilt since.
fn this_program() -> Command {
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Command::new(running);
    }
    Command::new(env::current_exe().unwrap_or_else(|_| "mbn".into()))
}

/// Runs that failed or died leave work to do; a divergence is a result.
fn end(tally: &Tally, args: &SweepArgs) -> End {
    if tally.stopped {
        output::note("interrupted, all runs are saved; the same command continues");
        return End::Interrupted;
    }
    if tally.died > 0 {
        output::note(&format!(
            "{} died; the same command resumes what is not finished",
            output::count(tally.died, "run")
        ));
    }
    if tally.failed > 0 && !args.retry_failed {
        output::note(&format!("{} failed; --retry-failed repeats what failed", output::count(tally.failed, "run")));
    }
    if tally.died + tally.failed > 0 {
        return End::Incomplete;
    }
    End::Done
}

/// `60 runs: 57 done, 2 diverged, 1 failed`
fn counts(tally: &Tally) -> String {
    let open = tally.total - tally.over();
    let parts = [
        (tally.done, "done"),
        (tally.diverged, "diverged"),
        (tally.failed, "failed"),
        (tally.died, "died"),
        (open, "to do"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, what)| *n > 0 || *what == "done").map(|(n, what)| format!("{n} {what}")).collect();
    format!("{}: {}", output::count(tally.total, "run"), parts.join(", "))
}

/// The sweep with its runs named by their data, as far as these are on this machine or recorded in the sweep folder;
/// nothing is downloaded.
fn on_data(sweep: Sweep, out: &Path, source: Source) -> Result<Sweep, Error> {
    let (sweep, unknown) = sweep.on_data(out, &Source { hub: false, ..source }, Need::Names)?;
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        output::note(&format!(
            "{names}: not found on this machine, so the run names are provisional (they lack the hash of the data); give the \
             folder of the data with --data-dir"
        ));
    }
    Ok(sweep)
}

fn collect(sweep: &Sweep, out: &Path) -> anyhow::Result<End> {
    if !out.join("runs").is_dir() {
        return Err(Error::config(format!(
            "{}: there is no sweep in this folder; choose another --out",
            out.display()
        ))
        .into());
    }
    let mut table = SummaryTable::new(out, &sweep.jobs)?;
    table.update(&sweep.jobs)?;
    table.notes(&sweep.jobs).iter().for_each(|note| output::note(&format!("note: {note}")));
    output::print(&format!(
        "{} of {}; {}\n",
        table.len(),
        output::count(sweep.jobs.len(), "run"),
        table.path().display()
    ))?;
    Ok(End::Done)
}
