//! Marks and captions that charts have in common.

use super::document::{Comparison, MethodScore, Section};
use super::metric::Metric;
use super::svg::Mark;
use crate::stats::{ENOUGH, Sample};

/// The mark of `sample` at `x`; none where its mean is not finite (the sum of huge numbers overflows).
pub(super) fn mark(metric: Metric, x: f64, sample: Sample, text: String) -> Option<Mark> {
    let interval = sample.low.zip(sample.high).filter(|(low, high)| low.is_finite() && high.is_finite());
    // That of two runs is so wide that it hides the others.
    let interval = interval.filter(|_| sample.n >= ENOUGH).map(|ends| metric.possible(ends));
    (sample.mean.is_finite() && x.is_finite()).then_some(Mark { x, y: sample.mean, interval, text })
}

/// `96.12 % (95.10 .. 97.14), n = 3`
pub(super) fn describe(metric: Metric, sample: Sample) -> String {
    let interval = match sample.low.zip(sample.high).map(|ends| metric.possible(ends)) {
        Some((low, high)) => format!(" ({} .. {})", metric.show(low), metric.show(high)),
        None => String::new(),
    };
    format!("{} {}{interval}, n = {}", metric.show(sample.mean), metric.unit(), sample.n)
}

/// Title of the vertical axis.
pub(super) fn y_title(section: &Section, metric: Metric) -> String {
    let short = match metric {
        Metric::Gap => "gap",
        Metric::Shift | Metric::UsedToPopulation | Metric::InferenceToPopulation => "median divergence",
        Metric::ImagesPerS => "throughput",
        metric => metric.title(),
    };
    let on = section.measured_on(metric);
    format!("{on}{}{short} ({})", if on.is_empty() { "" } else { " " }, metric.unit())
}

/// Footnote on the cells with diverged or failed runs, after `what` the chart does with them.
pub(super) fn lost<'a>(what: &str, cells: impl Iterator<Item = &'a MethodScore>) -> String {
    let gone = |cell: &MethodScore| cell.diverged + cell.failed;
    let places: Vec<String> = cells
        .filter(|cell| gone(cell) > 0)
        .map(|cell| format!("{} at {} ({})", cell.label, cell.x, gone(cell)).replace(' ', "\u{a0}"))
        .collect();
    if places.is_empty() { String::new() } else { format!("{what} {}", places.join(", ")) }
}

/// What a chart of means does with diverged runs.
pub(super) fn fate(comparison: &Comparison, section: &Section, metric: Metric) -> &'static str {
    let guessing = comparison.diverged_as_chance && metric.chance(2).is_some() && section.table(metric).is_some();
    if guessing { "Diverged runs, counted at chance level:" } else { "Diverged or failed, not in the means:" }
}
