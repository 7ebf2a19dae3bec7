//! `mbn compare`: tables, charts and an HTML report from runs.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use mbn::Error;
use mbn::record::{Split, Stats};
use mbn::report::{self, CompareOptions, Comparison, CurveX, Grid, Metric};

use super::exit::End;
use super::output;

const EXAMPLES: &str = "\
Examples:
  mbn compare results/runs                            tables of test accuracy
  mbn compare results/sweep --out report              also report.html, charts, comparison.csv
  mbn compare a/metrics.csv b.csv --baseline gn       CSV files alone, even concatenated or edited
  mbn compare results/runs --format latex             or markdown, csv: mean, sd and n
  mbn compare results/runs --metric loss --split val --json";

/// Arguments of `mbn compare`.
#[derive(Args)]
#[command(help_template = super::TEMPLATE, before_help = EXAMPLES)]
pub struct CompareArgs {
    /// Run folders, folders of run folders, sweep folders, CSV files; - for a CSV file on standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Metric to tabulate: accuracy, loss, gap, shift, used_to_population, inference_to_population, images_per_s,
    /// seconds, peak_memory_mib
    #[arg(long, value_name = "NAME", default_value = "accuracy", help_heading = "Comparison")]
    metric: String,
    /// Settings that distinguish methods: norm, label, run, double_forward, norm_batch_size, or any setting, such as lr or
    /// mbn.size [default: the label, else norm and double_forward; and every setting that differs]
    #[arg(long, value_name = "KEY", value_delimiter = ',', help_heading = "Comparison")]
    by: Vec<String>,
    /// Method that the others are compared with [default: bn, else the first]
    #[arg(long, value_name = "METHOD", help_heading = "Comparison")]
    baseline: Option<String>,
    /// Split to compare scores on: train, val, test [default: test, else val; required for rows without a `split` column]
    #[arg(long, value_name = "NAME", help_heading = "Comparison")]
    split: Option<Split>,
    /// Statistics to compare scores under: ema, memory, batch, precise, weighing, evalnorm [default: each method's own]
    #[arg(long, value_name = "NAME", help_heading = "Comparison")]
    stats: Option<Stats>,
    /// What to do with diverged runs
    #[arg(long, value_enum, default_value = "apart", help_heading = "Comparison")]
    diverged: DivergedArg,
    /// Write report.html, charts (SVG) and comparison.csv to this folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Horizontal axis of the training curves
    #[arg(long, value_enum, default_value = "epoch", requires = "out", help_heading = "Output")]
    x: XArg,
    /// Format of the tables
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    format: FormatArg,
    /// Print one JSON document instead of tables
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    json: bool,
}

impl CompareArgs {
    /// Refuses an input file that the report would overwrite.
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

    /// Says which flags do not change the tables; page and JSON document hold other metrics, which they may change.
    fn note_what_is_without_effect(&self, metric: Metric) {
        let only_tables = self.out.is_none() && !self.json;
        let without = |flag, given: bool, matters: bool| {
            if only_tables && given && !matters {
                output::note(&format!("note: {flag} has no effect on --metric {}", metric.name()));
            }
        };
        without("--split", self.split.is_some(), metric.is_score());
        without("--stats", self.stats.is_some(), matches!(metric, Metric::Accuracy | Metric::Loss));
    }
}

/// An error where no run has the metric, and none is to be named that has no scores.
fn check_measured(comparison: &Comparison) -> anyhow::Result<()> {
    let metric = comparison.metric;
    let sections = &comparison.sections;
    if sections.iter().any(|section| section.table(metric).is_some() || !section.apart.is_empty()) {
        return Ok(());
    }
    let on = sections.first().map_or(String::new(), |section| section.measured_on(metric));
    let measured = Metric::all().filter(|metric| sections.iter().any(|section| section.table(*metric).is_some()));
    let measured = measured.map(Metric::name).collect::<Vec<_>>().join(", ");
    let measured = if measured.is_empty() { "no metric at all".into() } else { measured };
    let space = if on.is_empty() { "" } else { " " };
    anyhow::bail!("nothing to tabulate: no run has {on}{space}{}; they have {measured} (--metric)", metric.name())
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DivergedArg {
    /// Leave them out of the mean and count them separately
    Apart,
    /// Include them in the mean, at chance level
    Chance,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatArg {
    /// Aligned columns, for the terminal
    Text,
    /// Markdown tables
    Markdown,
    /// LaTeX tables for the booktabs package
    Latex,
    /// The rows of comparison.csv for this metric
    Csv,
}

#[derive(Clone, Copy, ValueEnum)]
enum XArg {
    /// Passes over the training data
    Epoch,
    /// Training images seen
    Examples,
    /// Measured time
    Seconds,
}

impl From<XArg> for CurveX {
    fn from(x: XArg) -> Self {
        match x {
            XArg::Epoch => Self::Epoch,
            XArg::Examples => Self::Examples,
            XArg::Seconds => Self::Seconds,
        }
    }
}

/// Runs `mbn compare`.
pub fn run(args: &CompareArgs) -> anyhow::Result<End> {
    args.check_out()?;
    let options = CompareOptions {
        metric: Metric::find(&args.metric)?,
        split: args.split,
        stats: args.stats,
        by: args.by.clone(),
        baseline: args.baseline.clone(),
        diverged_as_chance: args.diverged == DivergedArg::Chance,
    };
    let comparison = Comparison::new(report::collect(&args.paths)?, &options)?;
    for note in &comparison.notes {
        output::note(&format!("warning: {note}"));
    }
    check_measured(&comparison)?;
    args.note_what_is_without_effect(comparison.metric);
    let page = args.out.as_ref().map(|dir| report::write(&comparison, args.x.into(), dir)).transpose()?;
    if args.json {
        output::print_json(&comparison)?;
    } else {
        output::print(&match args.format {
            FormatArg::Text => tables(&comparison, text, true) + &legend(&comparison, ""),
            FormatArg::Markdown => tables(&comparison, Grid::markdown, false) + &legend(&comparison, "* "),
            FormatArg::Latex => tables(&comparison, Grid::latex, false) + &legend(&comparison, "% "),
            FormatArg::Csv => report::tidy_csv(&comparison, comparison.metric)?,
        })?;
    }
    if let Some(page) = page {
        output::note(&format!("written: {}", page.display()));
    }
    Ok(End::Done)
}

/// The tables of the comparison's metric, each rendered by `show` and followed by an empty line. An overview has marks
/// among its figures, so it is for the terminal only.
fn tables(comparison: &Comparison, show: impl Fn(&Grid) -> String, with_overview: bool) -> String {
    let mut text = String::new();
    for section in &comparison.sections {
        let table = section.table(comparison.metric);
        let overview = table.filter(|_| with_overview).and_then(|table| report::overview(section, table));
        let scores = table.map(|table| report::scores(section, table));
        let differences = table.and_then(|table| report::differences(section, table));
        for grid in [overview, scores, differences, report::apart(section)].iter().flatten() {
            text.push_str(&format!("{}\n", show(grid)));
        }
    }
    text
}

/// A table for the terminal, under its title.
fn text(grid: &Grid) -> String {
    let header: Vec<&str> = grid.header.iter().map(String::as_str).collect();
    format!("{}\n{}", grid.title, output::table(&header, &grid.rows))
}

/// The legend of the tables, each line prefixed with `mark`.
fn legend(comparison: &Comparison, mark: &str) -> String {
    let tables = comparison.sections.iter().filter_map(|section| section.table(comparison.metric));
    report::legend(comparison, tables).into_iter().map(|line| format!("{mark}{line}\n")).collect()
}
