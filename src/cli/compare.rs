//! `mbn compare`: tables, pictures and a page from runs.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use mbn::report::{self, Comparison, CurveX, Grid, Metric, Options};
use mbn::Error;

use super::exit::End;
use super::output;

const EXAMPLES: &str = "\
Examples:
  mbn compare results/runs                            tables of test accuracy
  mbn compare results/sweep --out report              also report.html, pictures, comparison.csv
  mbn compare a/metrics.csv b.csv --baseline gn       CSV files alone, also put end to end or edited
  mbn compare results/runs --metric loss --split val --json";

/// Arguments of `mbn compare`.
#[derive(Args)]
#[command(help_template = super::TEMPLATE, before_help = EXAMPLES)]
pub struct CompareArgs {
    /// Run folders, folders of such, sweep folders, CSV files
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// What the tables are of: accuracy, loss, gap, shift, used_to_population, inference_to_population, images_per_s,
    /// seconds, peak_memory_mib
    #[arg(long, value_name = "NAME", default_value = "accuracy", help_heading = "Comparison")]
    metric: String,
    /// Settings that make a method: norm, label, run, double_forward, norm_batch_size, or any setting as lr or mbn.size
    /// [default: the label, else norm, double_forward and every setting that differs]
    #[arg(long, value_name = "KEY", value_delimiter = ',', help_heading = "Comparison")]
    by: Vec<String>,
    /// The method to take differences from [default: bn, else the first]
    #[arg(long, value_name = "METHOD", help_heading = "Comparison")]
    baseline: Option<String>,
    /// The pictures that count: train, val, test [default: test, else val]
    #[arg(long, value_name = "NAME", help_heading = "Comparison")]
    split: Option<String>,
    /// The statistics that count: ema, memory, batch, precise [default: each method's own rule]
    #[arg(long, value_name = "NAME", help_heading = "Comparison")]
    stats: Option<String>,
    /// Diverged runs: counted beside the mean, or in it as if they guessed
    #[arg(long, value_enum, default_value = "apart", help_heading = "Comparison")]
    diverged: DivergedArg,
    /// Write report.html, pictures (SVG) and comparison.csv to this folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// What the curves of training are drawn against
    #[arg(long, value_enum, default_value = "epoch", requires = "out", help_heading = "Output")]
    x: XArg,
    /// One JSON document instead of tables
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl CompareArgs {
    /// None of the inputs is a file that the report would overwrite.
    fn check_out(&self) -> Result<(), Error> {
        let place = |path: &Path| path.canonicalize().ok();
        let written = self.out.iter().filter_map(|dir| place(&dir.join("comparison.csv"))).next();
        match self.paths.iter().find(|path| written.is_some() && place(path) == written) {
            Some(path) => Err(Error::config(format!(
                "{}: this input would be overwritten by the report's comparison.csv; choose another --out, or rename it",
                path.display()
            ))),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DivergedArg {
    /// Beside the mean
    Apart,
    /// In the mean, as guessing
    Chance,
}

#[derive(Clone, Copy, ValueEnum)]
enum XArg {
    /// Passes over the training data
    Epoch,
    /// Training images seen
    Examples,
    /// Time as measured
    Seconds,
}

/// Runs `mbn compare`.
pub fn run(args: &CompareArgs) -> anyhow::Result<End> {
    args.check_out()?;
    let options = Options {
        metric: Metric::find(&args.metric)?,
        split: args.split.clone(),
        stats: args.stats.clone(),
        by: args.by.clone(),
        baseline: args.baseline.clone(),
        diverged_as_chance: args.diverged == DivergedArg::Chance,
    };
    let comparison = Comparison::new(report::collect(&args.paths)?, &options)?;
    for note in &comparison.notes {
        output::note(&format!("warning: {note}"));
    }
    if args.json {
        output::print_json(&comparison)?;
    } else {
        output::print(&tables(&comparison))?;
    }
    if let Some(dir) = &args.out {
        let x = match args.x {
            XArg::Epoch => CurveX::Epoch,
            XArg::Examples => CurveX::Examples,
            XArg::Seconds => CurveX::Seconds,
        };
        output::note(&format!("written: {}", report::write(&comparison, x, dir)?.display()));
    }
    Ok(End::Done)
}

fn tables(comparison: &Comparison) -> String {
    let mut text = String::new();
    let mut add = |grid: Grid| {
        let header: Vec<&str> = grid.header.iter().map(String::as_str).collect();
        text.push_str(&format!("{}\n{}\n", grid.title, output::table(&header, &grid.rows)));
    };
    for section in &comparison.sections {
        if let Some(table) = section.table(comparison.metric) {
            report::overview(section, table).into_iter().for_each(&mut add);
            add(report::scores(section, table));
            report::differences(section, table).into_iter().for_each(&mut add);
        }
        report::apart(section).into_iter().for_each(&mut add);
    }
    let tables = comparison.sections.iter().filter_map(|section| section.table(comparison.metric));
    report::legend(comparison, tables).into_iter().for_each(|line| text.push_str(&format!("{line}\n")));
    text
}
