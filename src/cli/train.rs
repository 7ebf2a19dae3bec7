//! `mbn train`: one run, which is started, resumed, or found finished.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use mbn::record::{self, Status, Summary};
use mbn::run::{self, Outcome, RunOptions};

use super::exit::End;
use super::progress::Progress;
use super::settings::Settings;
use super::{DataDir, Threads, interrupt, output};

const EXAMPLES: &str = "\
Examples:
  mbn train                                       digits, lenet, mbn
  mbn train --norm mbn --double-forward --batch-size 2
  mbn train --norm mbn --set mbn.size=16 --set mbn.decay=0.9
  mbn train --dataset cifar10 --data-dir ./data --model resnet20 --batch-size 8 --epochs 10
  mbn train --config results/runs/RUN/config.toml --seed 1

Flags override --set, which overrides the file, which overrides the defaults.";

/// Arguments of `mbn train`.
#[derive(Args)]
#[command(help_template = super::TEMPLATE, before_help = EXAMPLES)]
pub struct TrainArgs {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    pub(super) threads: Threads,
    /// Folder that holds the run folders
    #[arg(long, value_name = "DIR", default_value = "results/runs", help_heading = "Output")]
    out: PathBuf,
    /// Fail if there is no interrupted run to resume, instead of starting a new one
    #[arg(long, conflicts_with = "fresh", help_heading = "Output")]
    resume: bool,
    /// Discard the files of an earlier attempt at the same run, and start over
    #[arg(long, help_heading = "Output")]
    fresh: bool,
    /// Seconds between checkpoints within an epoch; one is also saved after every epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = super::seconds, help_heading = "Output")]
    checkpoint_every: f64,
    /// Print the resolved configuration and exit
    #[arg(long, conflicts_with_all = ["json", "quiet", "fresh", "resume"], help_heading = "Output")]
    print_config: bool,
    /// Print the summary as one JSON document instead of a table
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// No progress on stderr
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

const ON_SIGNALS: interrupt::Words = [
    Some("\ninterrupted: finishing this step and saving; interrupt again to stop without saving"),
    Some("interrupted again: stopped without saving"),
];

/// Runs `mbn train`.
pub fn run(args: &TrainArgs) -> anyhow::Result<End> {
    let source = args.data_dir.source();
    let (config, notes) = args.settings.resolve()?;
    if !args.quiet {
        notes.iter().for_each(|note| output::note(note));
        args.data_dir.without_effect([&*config.dataset]).iter().for_each(|note| output::note(note));
    }
    if args.print_config {
        output::print(&config.to_toml()?)?;
        return Ok(End::Done);
    }
    let options = RunOptions {
        out: args.out.clone(),
        source,
        fresh: args.fresh,
        must_resume: args.resume,
        recover: false,
        checkpoint_every: Duration::from_secs_f64(args.checkpoint_every),
        stop: Some(interrupt::install(ON_SIGNALS)?),
    };
    let mut progress = Progress::new(args.quiet);
    let outcome = run::run(&config, &options, &mut progress);
    progress.finish();
    match outcome? {
        Outcome::Done { dir, summary, already } => {
            if already {
                let by = made_by_another(&summary).unwrap_or_default();
                output::note(&format!("this run is already finished{by}; these are its results (--fresh repeats it)"));
            }
            report(&dir, &summary, args.json)
        }
        Outcome::Interrupted { dir, step } => {
            output::note(&format!(
                "interrupted after step {step} and saved in {}; the same command continues it",
                dir.display()
            ));
            Ok(End::Interrupted)
        }
    }
}

/// ` by commit 0123abc (this is 4567def)`, where that is another one.
fn made_by_another(summary: &Summary) -> Option<String> {
    let (by, own) = (summary.commit.as_deref()?, record::commit()?);
    (by != own).then(|| format!(" by commit {by} (this is {own})"))
}

/// The results on stdout, a divergence on stderr.
fn report(dir: &Path, summary: &Summary, json: bool) -> anyhow::Result<End> {
    if json {
        output::print_json(summary)?;
    } else {
        let rate = summary.images_per_s.map_or(String::new(), |rate| format!(", {rate:.0} images/s"));
        let seconds = summary.seconds;
        output::print(&format!("{}{seconds:.1} s{rate}; {}\n", output::scores(summary), dir.display()))?;
    }
    if summary.status == Status::Done {
        return Ok(End::Done);
    }
    if let Some(diverged) = &summary.diverged {
        output::note(&format!(
            "error: diverged at step {}: {} is not finite\nhint: try a smaller --lr, or --warmup-epochs 1",
            diverged.step, diverged.tensor
        ));
    }
    Ok(End::Diverged)
}
