//! What `--out` writes: charts, the HTML page, `comparison.csv`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::curves::CurveX;
use super::document::{Comparison, MethodScore, Pair, PostHocScore, Section, Table};
use super::metric::Metric;
use super::{charts, html, written};
use crate::record::{atomic, csv_bytes, write_rows};
use crate::{Error, Result};

/// One row of `comparison.csv`: a method at a batch size under one metric. Missing values are empty cells.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TidyRow {
    /// Data set.
    pub dataset: String,
    /// Network.
    pub model: String,
    /// Epochs trained.
    pub epochs: Option<usize>,
    /// The method, as in tables and charts.
    pub method: String,
    /// Normalizer.
    pub norm: String,
    /// Whether Double-Forward was on.
    pub double_forward: bool,
    /// Images per update.
    pub batch_size: Option<usize>,
    /// Images whose statistics are taken together (normalization batch size).
    pub norm_batch_size: Option<usize>,
    /// The metric. Units: fractions (accuracy, gap), nats (loss, shift, divergences), images/s, seconds, MiB.
    pub metric: String,
    /// The images it was measured on.
    pub split: String,
    /// The statistics asked for; empty for each method's own rule.
    pub stats: String,
    /// Number of runs.
    pub n: usize,
    /// Runs that diverged.
    pub diverged: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Mean.
    pub mean: Option<f64>,
    /// Standard deviation.
    pub sd: Option<f64>,
    /// Lower end of the mean's 95 % interval.
    pub ci_low: Option<f64>,
    /// Upper end of the mean's 95 % interval.
    pub ci_high: Option<f64>,
    /// Whether it is the best at that size; see [`MethodScore::best`].
    pub best: bool,
    /// The method it is compared with.
    pub baseline: String,
    /// Number of seeds that both have.
    pub pairs: Option<usize>,
    /// Mean difference from the baseline on these seeds.
    pub difference: Option<f64>,
    /// Its standard deviation.
    pub difference_sd: Option<f64>,
    /// Lower end of its 95 % interval.
    pub difference_low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub difference_high: Option<f64>,
}

/// The rows of `comparison.csv`.
pub fn tidy(comparison: &Comparison) -> Vec<TidyRow> {
    let rows = |section, table: &Table| -> Vec<TidyRow> {
        let pair = |cell: &MethodScore| table.pairs.iter().find(|pair| pair.x == cell.x && pair.label == cell.label);
        let own = table.cells.iter().map(|cell| tidy_row(comparison, section, table.metric, cell, pair(cell)));
        let beside = |cell: &PostHocScore| TidyRow {
            stats: cell.stats.to_string(),
            ..tidy_row(comparison, section, table.metric, &cell.score, None)
        };
        own.chain(table.post_hoc.iter().map(beside)).collect()
    };
    let sections = comparison.sections.iter();
    sections.flat_map(|section| section.tables.iter().flat_map(move |table| rows(section, table))).collect()
}

/// [`tidy`]'s rows of one metric, as CSV text.
///
/// # Errors
/// Writing CSV fails.
pub fn tidy_csv(comparison: &Comparison, metric: Metric) -> Result<String> {
    let rows: Vec<TidyRow> = tidy(comparison).into_iter().filter(|row| row.metric == metric.name()).collect();
    let bytes = csv_bytes(&rows).map_err(Error::config)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tidy_row(
    comparison: &Comparison,
    section: &Section,
    metric: Metric,
    cell: &MethodScore,
    pair: Option<&Pair>,
) -> TidyRow {
    let group = section.groups.iter().find(|group| group.label == cell.label);
    let here = group.into_iter().flat_map(|group| group.runs.iter().map(|i| &comparison.runs[*i]));
    let here: Vec<_> = here.filter(|run| section.x.of(run) == cell.x).collect();
    let only = |sizes: BTreeSet<usize>| sizes.first().copied().filter(|_| sizes.len() == 1);
    let pair = pair.map(|pair| pair.difference);
    let scored = metric.is_score();
    TidyRow {
        dataset: section.dataset.clone(),
        model: section.model.clone(),
        epochs: only(here.iter().filter_map(|run| run.epochs).collect()),
        method: cell.label.clone(),
        norm: group.map(|group| group.norm.clone()).unwrap_or_default(),
        double_forward: group.is_some_and(|group| group.double_forward),
        batch_size: only(here.iter().map(|run| run.batch_size).collect()),
        norm_batch_size: only(here.iter().map(|run| run.norm_batch_size).collect()),
        metric: metric.name().into(),
        split: if scored { section.split.to_string() } else { String::new() },
        stats: section.stats.filter(|_| scored).map(|stats| stats.to_string()).unwrap_or_default(),
        n: cell.sample.map_or(0, |sample| sample.n),
        diverged: cell.diverged,
        failed: cell.failed,
        mean: cell.sample.map(|sample| sample.mean),
        sd: cell.sample.and_then(|sample| sample.sd),
        ci_low: cell.sample.and_then(|sample| sample.low),
        ci_high: cell.sample.and_then(|sample| sample.high),
        best: cell.best,
        baseline: pair.and(section.baseline.clone()).unwrap_or_default(),
        pairs: pair.map(|pair| pair.n),
        difference: pair.map(|pair| pair.mean),
        difference_sd: pair.and_then(|pair| pair.sd),
        difference_low: pair.and_then(|pair| pair.low),
        difference_high: pair.and_then(|pair| pair.high),
    }
}

/// Writes `comparison.csv`, the charts and `report.html` into `dir`, creating it if it is missing; returns the page's path.
///
/// # Errors
/// I/O errors, `dir` is a file, or one of the files is there already and was not written by `mbn compare`.
pub fn write(comparison: &Comparison, x: CurveX, dir: &Path) -> Result<PathBuf> {
    if dir.exists() && !dir.is_dir() {
        return Err(Error::data(dir, "is a file; --out takes a folder"));
    }
    fs::create_dir_all(dir).map_err(Error::io(dir))?;
    let charts: Vec<_> = (0..comparison.sections.len()).map(|i| charts::of_section(comparison, i, x)).collect();
    let (table, page) = (dir.join("comparison.csv"), dir.join("report.html"));
    let drawn = charts.iter().flatten().map(|file| dir.join(&file.name));
    drawn.chain([table.clone(), page.clone()]).try_for_each(|path| written::check(&path))?;
    write_rows(&table, &tidy(comparison))?;
    for file in charts.iter().flatten() {
        atomic::write(&dir.join(&file.name), file.chart.svg(true).as_bytes())?;
    }
    atomic::write(&page, html::page(comparison, &charts).as_bytes())?;
    Ok(page)
}
