//! Lines and marks, drawn by the chart and its legend.

/// Width of a chart in its own units: that of a phone's screen, so that text of size 13 is readable there.
pub(super) const WIDTH: f64 = 380.0;

/// A mean with its interval.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Horizontal value.
    pub x: f64,
    /// The mean.
    pub y: f64,
    /// Its 95 % interval, where it has one.
    pub interval: Option<(f64, f64)>,
    /// Its tooltip.
    pub text: String,
}

/// The marks of one method, from left to right.
#[derive(Debug, Clone)]
pub struct Line {
    /// The method.
    pub name: String,
    /// Number of its style, the same for a method in every chart.
    pub style: usize,
    /// Its marks.
    pub marks: Vec<Mark>,
}
