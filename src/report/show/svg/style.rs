//! Styles of lines: colours (Okabe and Ito's, distinguishable for colour-blind readers), dashes and markers.

/// Okabe and Ito's colours without yellow, which is too faint on white; the last is that of the text.
const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "inherit"];

const DASHES: [&str; 4] = ["none", "6 3", "2 2.5", "9 3 2 3"];

/// Outlines about 9 units wide around the origin: circle, square, triangle, diamond, triangle, cross, plus.
const MARKERS: [&str; 7] = [
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "M-3.7-3.7H3.7V3.7H-3.7Z",
    "M0-5L4.6 3.4H-4.6Z",
    "M0-5.2L5.2 0L0 5.2L-5.2 0Z",
    "M0 5L4.6-3.4H-4.6Z",
    "M-4.6-2.6L-2.6-4.6L0-2L2.6-4.6L4.6-2.6L2 0L4.6 2.6L2.6 4.6L0 2L-2.6 4.6L-4.6 2.6L-2 0Z",
    "M-1.5-5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5V-1.5H-1.5Z",
];

/// The style of a line.
pub(super) struct Style {
    /// A colour, or `inherit` for that of the text.
    pub colour: &'static str,
    /// Lengths of dashes and gaps.
    pub dash: &'static str,
    /// Outline of its markers.
    pub shape: &'static str,
    /// The class of its markers: after seven lines they are hollow.
    pub class: &'static str,
}

/// The style of line number `i`; 28 lines differ.
pub(super) fn of(i: usize) -> Style {
    let class = if (i / MARKERS.len()).is_multiple_of(2) { "mark" } else { "mark hollow" };
    Style {
        colour: COLOURS[i % COLOURS.len()],
        dash: DASHES[i % DASHES.len()],
        shape: MARKERS[i % MARKERS.len()],
        class,
    }
}

/// The SVG attributes of a class of markers; a style sheet may override them.
pub(super) fn paint(class: &str) -> &'static str {
    if class.contains("hollow") {
        "fill=\"#fff\" stroke=\"currentColor\" stroke-width=\"1.6\""
    } else {
        "fill=\"currentColor\" stroke=\"#fff\""
    }
}
