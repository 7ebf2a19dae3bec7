//! Charts of a metric against batch size.

use super::captions::{describe, fate, lost, mark, y_title};
use super::document::{Comparison, MethodScore, Section};
use super::metric::Metric;
use super::range;
use super::svg::{Axis, Chart, Line, Mark, Scale};

/// The chart of `metric` against batch size; none where no run has it.
pub(super) fn by_size(comparison: &Comparison, section: &Section, metric: Metric) -> Option<Chart> {
    let table = section.table(metric)?;
    let mut lines = vec![];
    for (style, group) in section.groups.iter().enumerate() {
        let cells = table.cells.iter().filter(|cell| cell.label == group.label);
        let marks: Vec<Mark> = cells.filter_map(|cell| cell_mark(section, cell, metric)).collect();
        if !marks.is_empty() {
            lines.push(Line { name: group.label.clone(), style, marks });
        }
    }
    if lines.is_empty() {
        return None;
    }
    let values = || lines.iter().flat_map(|line| line.marks.iter().map(|mark| mark.x));
    let (min, max) = values().fold((f64::INFINITY, 0f64), |(low, high), x| (low.min(x), high.max(x)));
    let x_title = format!("{} (log scale)", section.x.title());
    let x = Axis { title: x_title, scale: Scale::Log2, min: min / 1.25, max: max * 1.25, factor: 1.0 };
    let y = range::axis(metric, y_title(section, metric), &lines);
    Some(Chart {
        id: String::new(),
        title: headline(metric).into(),
        subtitle: section.name(),
        zero: metric == Metric::Gap,
        footnote: lost(fate(comparison, section, metric), table.cells.iter()),
        x,
        y,
        lines,
    })
}

fn cell_mark(section: &Section, cell: &MethodScore, metric: Metric) -> Option<Mark> {
    let sample = cell.sample?;
    let lost = if cell.diverged > 0 { format!(", {} diverged", cell.diverged) } else { String::new() };
    let text = format!("{}, {} {}: {}{lost}", cell.label, section.x.title(), cell.x, describe(metric, sample));
    mark(metric, cell.x as f64, sample, text)
}

/// The title of a chart against batch size.
fn headline(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "Accuracy at the end of training",
        Metric::Loss => "Loss at the end of training",
        Metric::Gap => "Gap: batch statistics minus own rule",
        Metric::Shift => "Shift of batch statistics by an update",
        Metric::UsedToPopulation => "Training statistics vs. the training set's",
        Metric::InferenceToPopulation => "Inference statistics vs. the training set's",
        Metric::ImagesPerS => "Training throughput",
        Metric::Seconds => "Time per run",
        Metric::PeakMemoryMib => "Peak memory",
    }
}
