//! Ranges of vertical axes: all means, and as much of their intervals as leaves the means distinguishable.

use super::metric::Metric;
use super::svg::{Axis, Line, Scale};

/// Ratio of largest to smallest value above which the axis is logarithmic.
const WIDE: f64 = 20.0;

/// Ratio of largest to smallest error above which accuracy is drawn by log error: where one method fails, a linear axis
/// would hide the differences among the others.
const UNEQUAL: f64 = 4.0;

/// How far beyond the range of the means intervals are shown, as a multiple of that range: an interval of few runs can be
/// arbitrarily wide.
const REACH: f64 = 0.75;

/// The vertical axis for `lines` of `metric`.
pub(super) fn axis(metric: Metric, title: String, lines: &[Line]) -> Axis {
    let marks = || lines.iter().flat_map(|line| &line.marks);
    let ends = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    // The axis includes 0: a gap is judged by its distance from it, a rate by its ratio to others.
    let zero = matches!(metric, Metric::Gap | Metric::ImagesPerS).then_some(0.0);
    let (low, high) = ends(&mut marks().map(|mark| mark.y).chain(zero));
    let scale = scale(metric, low, high);
    let (low, high) = (scale.stretch(low), scale.stretch(high));
    let least = if scale == Scale::Linear { (high.abs() * 0.02).max(metric_step(metric)) } else { 0.3 };
    let span = (high - low).max(least);
    let (reach_low, reach_high) = (low - REACH * span, high + REACH * span);
    // On a logarithmic axis, an interval that reaches 0 or below is cut at the edge anyway.
    let inside = |x: f64| (scale != Scale::Log10 || x > 0.0).then(|| scale.stretch(x).clamp(reach_low, reach_high));
    let intervals = || marks().filter_map(|mark| mark.interval);
    let (wide_low, _) = ends(&mut intervals().filter_map(|(low, _)| inside(low)).chain([low]));
    let (_, wide_high) = ends(&mut intervals().filter_map(|(_, high)| inside(high)).chain([high]));
    let margin = 0.06 * (wide_high - wide_low).max(least);
    let (mut min, mut max) = (scale.back(wide_low - margin), scale.back(wide_high + margin));
    match metric {
        Metric::Accuracy => (min, max) = (min.max(0.0), max.min(1.0)),
        Metric::ImagesPerS => min = 0.0,
        _ if low >= 0.0 && scale == Scale::Linear => min = min.max(0.0),
        _ => {}
    }
    let title = if scale == Scale::Error { format!("{title}, by log error") } else { title };
    let factor = if metric.is_share() { 100.0 } else { 1.0 };
    Axis { title, scale, min, max, factor }
}

/// The smallest difference that may fill a chart's height.
fn metric_step(metric: Metric) -> f64 {
    match metric {
        Metric::Accuracy | Metric::Gap => 0.002,
        Metric::Loss => 0.01,
        _ => 1e-9,
    }
}

/// The scale that keeps values between `low` and `high` distinguishable.
fn scale(metric: Metric, low: f64, high: f64) -> Scale {
    if metric == Metric::Accuracy && (1.0 - low) / (1.0 - high).max(1e-3) > UNEQUAL {
        Scale::Error
    } else if !metric.is_share() && low > 0.0 && high / low > WIDE {
        Scale::Log10
    } else {
        Scale::Linear
    }
}
