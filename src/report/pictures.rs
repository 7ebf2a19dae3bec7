//! The pictures of a section: everything against batch size, and the curves of training.

use super::curves::{curves, CurveX};
use super::document::{Cell, Comparison, Section};
use super::metric::Metric;
use super::range;
use super::stats::Sample;
use super::svg::{Axis, Chart, Line, Mark, Scale};

/// A chart and where it belongs.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Its file's name.
    pub file: String,
    /// Whether it shows the course of training rather than its end.
    pub is_curve: bool,
    /// The chart.
    pub chart: Chart,
}

/// The metrics that are drawn against batch size, in the order of the report.
const DRAWN: [Metric; 7] = [
    Metric::Accuracy,
    Metric::Loss,
    Metric::Gap,
    Metric::Shift,
    Metric::UsedToPopulation,
    Metric::InferenceToPopulation,
    Metric::ImagesPerS,
];

/// The pictures of section number `number`.
pub fn of_section(comparison: &Comparison, number: usize, x: CurveX) -> Vec<Picture> {
    let section = &comparison.sections[number];
    let stem = comparison.stem(number);
    let first = [comparison.metric].into_iter().chain(DRAWN.into_iter().filter(|metric| *metric != comparison.metric));
    let picture = |name: String, is_curve, mut chart: Chart| {
        chart.id = format!("{stem}-{name}");
        Picture { file: format!("{}.svg", chart.id), is_curve, chart }
    };
    let by_size =
        first.filter_map(|metric| Some(picture(metric.name().into(), false, by_size(comparison, section, metric)?)));
    let curves = curves(comparison, section, x).into_iter().map(|(name, chart)| picture(name, true, chart));
    by_size.chain(curves).collect()
}

impl Comparison {
    /// What the names of the files of section number `number` begin with.
    fn stem(&self, number: usize) -> String {
        let stem = |section: &Section| {
            let epochs = section.epochs.map_or(String::new(), |epochs| format!("-e{epochs}"));
            let text = format!("{}-{}{epochs}", section.dataset, section.model);
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>()
        };
        let own = stem(&self.sections[number]);
        let before = self.sections[..number].iter().filter(|section| stem(section) == own).count();
        if before > 0 {
            format!("{own}-{}", before + 1)
        } else {
            own
        }
    }
}

/// `metric` against batch size; none where no run ended with it.
fn by_size(comparison: &Comparison, section: &Section, metric: Metric) -> Option<Chart> {
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
        footnote: lost(comparison, section, table.cells.iter(), metric),
        x,
        y,
        lines,
    })
}

fn cell_mark(section: &Section, cell: &Cell, metric: Metric) -> Option<Mark> {
    let sample = cell.sample?;
    let lost = if cell.diverged > 0 { format!(", {} diverged", cell.diverged) } else { String::new() };
    let text = format!("{}, {} {}: {}{lost}", cell.label, section.x.title(), cell.x, describe(metric, sample));
    mark(cell.x as f64, sample, text)
}

/// The mark of `sample` at `x`, where it can be drawn: the mean of two huge numbers is none.
pub(super) fn mark(x: f64, sample: Sample, text: String) -> Option<Mark> {
    let interval = sample.low.zip(sample.high).filter(|(low, high)| low.is_finite() && high.is_finite());
    (sample.mean.is_finite() && x.is_finite()).then_some(Mark { x, y: sample.mean, interval, text })
}

/// `96.12 % (95.10 .. 97.14), n = 3`
pub(super) fn describe(metric: Metric, sample: Sample) -> String {
    let interval = match sample.low.zip(sample.high) {
        Some((low, high)) => format!(" ({} .. {})", metric.show(low), metric.show(high)),
        None => String::new(),
    };
    format!("{} {}{interval}, n = {}", metric.show(sample.mean), metric.unit(), sample.n)
}

/// Title of the vertical axis.
pub(super) fn y_title(section: &Section, metric: Metric) -> String {
    let short = match metric {
        Metric::Gap => "gap",
        Metric::Shift | Metric::UsedToPopulation | Metric::InferenceToPopulation => "symmetric divergence",
        Metric::ImagesPerS => "throughput",
        metric => metric.title(),
    };
    let on = section.measured_on(metric);
    format!("{on}{}{short} ({})", if on.is_empty() { "" } else { " " }, metric.unit())
}

/// First line of a picture against batch size.
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

/// What the means leave out.
pub(super) fn lost<'a>(
    comparison: &Comparison,
    section: &Section,
    cells: impl Iterator<Item = &'a Cell>,
    metric: Metric,
) -> String {
    let gone = |cell: &Cell| cell.diverged + cell.failed;
    let places: Vec<String> = cells
        .filter(|cell| gone(cell) > 0)
        .map(|cell| format!("{} at {} ({})", cell.label, cell.x, gone(cell)).replace(' ', "\u{a0}"))
        .collect();
    if places.is_empty() {
        return String::new();
    }
    let guessing = comparison.diverged_as_chance && metric.chance(2).is_some() && section.table(metric).is_some();
    let what = if guessing { "Diverged runs, counted as guessing:" } else { "Diverged or failed, not in the means:" };
    format!("{what} {}", places.join(", "))
}
