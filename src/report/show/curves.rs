//! Training curves: means over runs, epoch by epoch.

use std::collections::BTreeSet;

use super::captions::{describe, lost, mark, y_title};
use super::document::{Comparison, Section};
use super::metric::Metric;
use super::range;
use super::svg::{Axis, Chart, Line, Mark, Scale};
use crate::report::read::{Point, Run, RunState};
use crate::stats::Sample;

/// The horizontal axis of training curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CurveX {
    /// Epochs.
    #[default]
    Epoch,
    /// Training images seen.
    Examples,
    /// Seconds since the start, as measured.
    Seconds,
}

impl CurveX {
    fn title(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Examples => "training images seen",
            Self::Seconds => "seconds since the start",
        }
    }

    fn scale(self) -> Scale {
        match self {
            Self::Seconds => Scale::Linear,
            Self::Epoch | Self::Examples => Scale::Count,
        }
    }

    fn of(self, run: &Run, point: &Point) -> Option<f64> {
        match self {
            Self::Epoch => Some(point.epoch as f64),
            Self::Examples => Some((point.step? * run.batch_size) as f64),
            Self::Seconds => point.seconds,
        }
    }
}

/// Accuracy and loss at every batch size, with the names of the charts.
pub(super) fn curves(comparison: &Comparison, section: &Section, x: CurveX) -> Vec<(String, Chart)> {
    let all = section.groups.iter().flat_map(|group| group.runs.iter().map(|i| &comparison.runs[*i]));
    let sizes: BTreeSet<usize> = all.map(|run| section.x.of(run)).collect();
    let mut charts = vec![];
    for metric in [Metric::Accuracy, Metric::Loss] {
        for &size in &sizes {
            let name = format!("{}-curve-b{size}", metric.name());
            charts.extend(curve(comparison, section, metric, size, x).map(|chart| (name, chart)));
        }
    }
    charts
}

/// None where no run has more than one epoch in its rows.
fn curve(comparison: &Comparison, section: &Section, metric: Metric, size: usize, x: CurveX) -> Option<Chart> {
    let mut lines = vec![];
    for (style, group) in section.groups.iter().enumerate() {
        let runs: Vec<&Run> = group
            .runs
            .iter()
            .map(|i| &comparison.runs[*i])
            .filter(|run| section.x.of(run) == size && run.state() == RunState::Done)
            .collect();
        let marks = marks(section, &group.label, &runs, metric, x);
        if !marks.is_empty() {
            lines.push(Line { name: group.label.clone(), style, marks });
        }
    }
    if lines.iter().all(|line| line.marks.len() < 2) {
        return None;
    }
    let last = lines.iter().flat_map(|line| line.marks.iter().map(|mark| mark.x)).fold(0f64, f64::max);
    let min = if x == CurveX::Epoch { 1.0 } else { 0.0 };
    let cells = section.table(metric).map_or(&[][..], |table| &table.cells).iter().filter(|cell| cell.x == size);
    let title = if metric == Metric::Accuracy { "Accuracy" } else { "Loss" };
    Some(Chart {
        id: String::new(),
        title: format!("{title} during training, {} {size}", section.x.title()),
        subtitle: section.name(),
        x: Axis { title: x.title().into(), scale: x.scale(), min, max: last.max(min + 1e-9), factor: 1.0 },
        y: range::axis(metric, y_title(section, metric), &lines),
        zero: false,
        footnote: lost("Diverged or failed, not in the curves:", cells),
        lines,
    })
}

/// One mark per epoch that has a value: the mean over the runs, at the mean of their horizontal positions.
fn marks(section: &Section, label: &str, runs: &[&Run], metric: Metric, x: CurveX) -> Vec<Mark> {
    let mut epochs: Vec<(Vec<f64>, f64)> = vec![];
    for run in runs {
        let Some(series) = run.series(section.split, section.stats) else { continue };
        for point in &series.points {
            let value = if metric == Metric::Accuracy { point.accuracy } else { point.loss };
            let (Some(value), Some(place)) = (value, x.of(run, point)) else { continue };
            // An absurd epoch is a typing error; it must not exhaust memory.
            if point.epoch >= epochs.len() && point.epoch < 1_000_000 {
                epochs.resize_with(point.epoch + 1, Default::default);
            }
            if let Some((values, sum)) = epochs.get_mut(point.epoch) {
                values.push(value);
                *sum += place;
            }
        }
    }
    let at = |(epoch, (values, sum)): (usize, (Vec<f64>, f64))| {
        let sample = Sample::of(&values)?;
        let text = format!("{label}, epoch {epoch}: {}", describe(metric, sample));
        mark(metric, sum / sample.n as f64, sample, text)
    };
    epochs.into_iter().enumerate().filter_map(at).collect()
}
