//! Text around the plot: the legend, and text shortened or wrapped to the chart's width.

use std::fmt::Write;

use super::escape;
use super::line::{Line, WIDTH};
use super::style::{self, Style};

/// Height of a row of the legend.
const ROW: f64 = 20.0;

/// Average width of a character at font size 13.
const LETTER: f64 = 7.4;

/// Writes the legend from `top` on; returns where it ends.
pub(super) fn legend(lines: &[Line], top: f64) -> (String, f64) {
    let (mut x, mut y) = (10.0, top);
    let mut out = String::new();
    for line in lines {
        let Style { colour, dash, shape, class } = style::of(line.style);
        let paint = style::paint(class);
        let name = shorten(&line.name, 42);
        let width = 40.0 + LETTER * name.chars().count() as f64 + 14.0;
        if x > 10.0 && x + width > WIDTH {
            (x, y) = (10.0, y + ROW);
        }
        let (end, middle, text) = (x + 32.0, x + 16.0, x + 38.0);
        let (base, name) = (y + 4.5, escape(&name));
        let _ = writeln!(
            out,
            "<g color=\"{colour}\"><path d=\"M{x:.1} {y}H{end:.1}\" stroke=\"currentColor\" stroke-width=\"2\" \
             stroke-dasharray=\"{dash}\"/><path class=\"key {class}\" {paint} \
             transform=\"translate({middle:.1} {y})\" d=\"{shape}\"/></g><text x=\"{text:.1}\" y=\"{base:.1}\" fill=\"currentColor\">{name}</text>"
        );
        x += width;
    }
    (out, y + ROW)
}

/// Text of at most `most` characters.
pub(super) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Text in lines of at most `width` characters, broken between words.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}
