//! What a chart and its legend both draw.

/// Width of a chart in its own units: those of a phone's screen, so that text of size 13 is readable there.
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
    /// What it is, in words and figures.
    pub text: String,
}

/// The marks of one method, from left to right.
#[derive(Debug, Clone)]
pub struct Line {
    /// The method.
    pub name: String,
    /// Number of its style: the same method looks the same in every chart.
    pub style: usize,
    /// Its marks.
    pub marks: Vec<Mark>,
}
