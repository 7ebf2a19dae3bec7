//! A chart of lines with interval bands, and a legend below.

use std::fmt::Write;

use super::axis::{Axis, Scale};
use super::escape;
use super::legend::{legend, shorten, wrap};
use super::line::{Line, Mark, WIDTH};
use super::style::{self, Style};

const LEFT: f64 = 64.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 46.0;
/// Height of the plot.
const HEIGHT: f64 = 226.0;
/// From the plot's lower edge to the legend.
const BELOW: f64 = 56.0;
/// Most markers on a line; more would hide it.
const MARKERS: usize = 16;

/// The beginning of a chart in a file of its own, by which it is recognized.
pub const CHART_START: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\"";

/// A chart: lines in a frame, with titles, legend and footnote.
#[derive(Debug, Clone)]
pub struct Chart {
    /// An id that is unique on a page.
    pub id: String,
    /// First line of the heading.
    pub title: String,
    /// Second line of the heading.
    pub subtitle: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Whether to draw a horizontal line at 0.
    pub zero: bool,
    /// The methods.
    pub lines: Vec<Line>,
    /// What a reader must know, such as runs that are not shown.
    pub footnote: String,
}

impl Chart {
    /// The chart as SVG: with `alone` as a file, else as part of a page.
    pub fn svg(&self, alone: bool) -> String {
        let bottom = TOP + HEIGHT + BELOW;
        let (legend, after) = legend(&self.lines, bottom);
        let notes = wrap(&format!("{} {}", self.about_intervals(), self.footnote), 58);
        let height = after + 16.0 * notes.len() as f64 + 4.0;
        let start = if alone { CHART_START } else { "<svg class=\"chart\"" };
        let mut out = format!(
            "{start} viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" color=\"#1a1a1a\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\" aria-label=\"{0}: {1}\">\n\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <text x=\"10\" y=\"19\" font-size=\"15\" font-weight=\"600\" fill=\"currentColor\">{0}</text>\n\
             <text x=\"10\" y=\"37\" fill=\"currentColor\" opacity=\".75\">{1}</text>\n",
            escape(&self.title),
            escape(&shorten(&self.subtitle, 54)),
        );
        self.frame(&mut out);
        let width = WIDTH - LEFT - RIGHT;
        let id = &self.id;
        let _ = write!(
            out,
            "<clipPath id=\"{id}-plot\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{HEIGHT}\"/></clipPath>\n\
             <g clip-path=\"url(#{id}-plot)\">\n"
        );
        self.lines.iter().for_each(|line| self.bands(&mut out, line));
        self.lines.iter().for_each(|line| self.path(&mut out, line));
        out.push_str("</g>\n");
        self.lines.iter().for_each(|line| self.marks(&mut out, line));
        out.push_str(&legend);
        for (i, note) in notes.iter().enumerate() {
            let y = after + 12.0 + 16.0 * i as f64;
            let _ = writeln!(
                out,
                "<text x=\"10\" y=\"{y}\" font-size=\"12\" fill=\"currentColor\">{}</text>",
                escape(note)
            );
        }
        out.push_str("</svg>\n");
        out
    }

    /// Explains the bands or bars, and whether some are cut off.
    fn about_intervals(&self) -> &'static str {
        let mut intervals =
            self.lines.iter().flat_map(|line| line.marks.iter().filter_map(|mark| mark.interval)).peekable();
        if intervals.peek().is_none() {
            return "";
        }
        let bars = self.lines.iter().all(|line| line.marks.len() < 2);
        match (bars, intervals.any(|(low, high)| low < self.y.min || high > self.y.max)) {
            (true, true) => "Bars: 95 % interval of three runs or more, cut at the edge.",
            (true, false) => "Bars: 95 % interval of three runs or more.",
            (false, true) => "Bands: 95 % interval of three runs or more, cut at the edge.",
            (false, false) => "Bands: 95 % interval of three runs or more.",
        }
    }

    /// Grid, ticks and titles of the axes.
    fn frame(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, TOP + HEIGHT);
        for (value, label) in self.y.ticks() {
            let y = self.y_at(value);
            let strength = if self.zero && value == 0.0 { ".7" } else { ".15" };
            let _ = writeln!(
                out,
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"currentColor\" opacity=\"{strength}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"currentColor\">{label}</text>",
                LEFT - 6.0,
                y + 4.5,
            );
        }
        for (value, label) in self.x.ticks() {
            let x = self.x_at(value);
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {bottom}v5\" stroke=\"currentColor\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"currentColor\">{label}</text>",
                bottom + 19.0,
            );
        }
        let middle = (TOP + bottom) / 2.0;
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"currentColor\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"currentColor\">{}</text>\n\
             <text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\" fill=\"currentColor\">{}</text>",
            (LEFT + right) / 2.0,
            bottom + 38.0,
            escape(&self.x.title),
            escape(&self.y.title),
        );
    }

    fn x_at(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_at(&self, value: f64) -> f64 {
        // Points far outside are clipped anyway; this keeps their coordinates short.
        TOP + (1.0 - self.y.place(value).clamp(-2.0, 3.0)) * HEIGHT
    }

    /// The position of a mark. Methods measured at a single batch size are placed side by side instead of on top of each
    /// other.
    fn at(&self, line: &Line, mark: &Mark) -> (f64, f64) {
        (self.x_at(mark.x) + self.aside(line), self.y_at(mark.y))
    }

    fn aside(&self, line: &Line) -> f64 {
        let mut values = self.lines.iter().flat_map(|line| line.marks.iter().map(|mark| mark.x));
        let first = values.next();
        if self.x.scale != Scale::Log2 || values.any(|x| Some(x) != first) {
            return 0.0;
        }
        let count = self.lines.len() as f64;
        let place = self.lines.iter().position(|other| other.name == line.name).unwrap_or(0) as f64;
        (place - (count - 1.0) / 2.0) * (300.0 / count).min(36.0)
    }

    /// The intervals: a band through neighbouring marks, a bar for a single one.
    fn bands(&self, out: &mut String, line: &Line) {
        let Style { colour, .. } = style::of(line.style);
        for stretch in line.marks.split(|mark| mark.interval.is_none()).filter(|stretch| !stretch.is_empty()) {
            let corner = |mark: &Mark, end: fn((f64, f64)) -> f64| {
                let (x, _) = self.at(line, mark);
                (x, self.y_at(mark.interval.map_or(mark.y, end)))
            };
            if let [mark] = stretch {
                let ((x, low), (_, high)) = (corner(mark, |i| i.0), corner(mark, |i| i.1));
                let left = x - 4.0;
                let _ = writeln!(
                    out,
                    "<path d=\"M{left:.1} {low:.1}h8m-4 0V{high:.1}m-4 0h8\" color=\"{colour}\" stroke=\"currentColor\" fill=\"none\"/>"
                );
                continue;
            }
            let upper = stretch.iter().map(|mark| corner(mark, |i| i.1));
            let lower = stretch.iter().rev().map(|mark| corner(mark, |i| i.0));
            let _ = writeln!(
                out,
                "<path d=\"{}Z\" color=\"{colour}\" fill=\"currentColor\" opacity=\".13\"/>",
                polyline(upper.chain(lower))
            );
        }
    }

    fn path(&self, out: &mut String, line: &Line) {
        let Style { colour, dash, .. } = style::of(line.style);
        let path = polyline(line.marks.iter().map(|mark| self.at(line, mark)));
        let _ = writeln!(
            out,
            "<path d=\"{path}\" color=\"{colour}\" stroke=\"currentColor\" stroke-width=\"2\" stroke-dasharray=\"{dash}\" \
             fill=\"none\"/>"
        );
    }

    fn marks(&self, out: &mut String, line: &Line) {
        let Style { colour, shape, class, .. } = style::of(line.style);
        let paint = style::paint(class);
        let _ = writeln!(out, "<g color=\"{colour}\">");
        let every = line.marks.len().div_ceil(MARKERS).max(1);
        for mark in line.marks.iter().rev().step_by(every) {
            let (x, y) = self.at(line, mark);
            let text = escape(&mark.text);
            let _ = writeln!(
                out,
                "<path class=\"{class}\" {paint} transform=\"translate({x:.1} {y:.1})\" d=\"{shape}\"><title>{text}</title></path>"
            );
        }
        out.push_str("</g>\n");
    }
}

fn polyline(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (i, (x, y)) in points.enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
    }
    path
}
