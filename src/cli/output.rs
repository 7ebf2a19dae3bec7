//! Results on stdout, as a table or as JSON; notes on stderr. A closed pipe is not an error.

use std::io::{self, ErrorKind, Write};

use mbn::record::Summary;
use mbn::report::Metric;
pub use mbn::text::count;
use serde::Serialize;

/// Prints to stdout; a closed pipe is not an error.
///
/// # Errors
/// stdout cannot be written to for another reason.
pub fn print(text: &str) -> anyhow::Result<()> {
    match try_print(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow::Error::new(error).context("stdout")),
        _ => Ok(()),
    }
}

/// Prints to stdout; a closed pipe is an error like any other.
pub fn try_print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(harmless(text).as_bytes()).and_then(|()| out.flush())
}

/// The text with a replacement character for every control character that a terminal would obey, wherever names in files
/// and arguments have them.
pub fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r'), "\u{fffd}")
}

/// Prints one JSON document to stdout.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Prints a line to stderr; a failure has nowhere to be reported.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(text));
}

/// Rows under a header, in columns two spaces apart; numbers are right-aligned. Every row has as many cells as the header.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let columns: Vec<(usize, bool)> = (0..header.len())
        .map(|i| {
            let cells = || rows.iter().filter_map(|row| row.get(i));
            let width = cells().map(|cell| cell.chars().count()).chain([header[i].len()]).max().unwrap_or(0);
            (width, !rows.is_empty() && cells().all(|cell| is_number(cell)))
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&columns).map(|(cell, &(width, number))| match number {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(&mut header.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

fn is_number(cell: &str) -> bool {
    cell == "-" || cell.trim_end_matches(" %").parse::<f64>().is_ok()
}

/// Four significant digits, for reading: `0.0992`, `1250`, `1.2e-7`.
pub fn short(x: f64) -> String {
    let digits = 3i32.saturating_sub(x.abs().log10().floor() as i32);
    match digits {
        0..=9 if x != 0.0 => {
            let text = format!("{x:.*}", digits as usize);
            let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            text.to_string()
        }
        -9..0 => format!("{x:.0}"),
        _ if x == 0.0 || !x.is_finite() => x.to_string(),
        _ => {
            let text = format!("{x:.3e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
    }
}

/// A fraction as a percentage; `-` where there is none.
pub fn percent(fraction: Option<f64>) -> String {
    fraction.map_or("-".into(), |x| format!("{:.2} %", 100.0 * x))
}

/// A loss; `-` where there is none.
pub fn loss(loss: Option<f64>) -> String {
    loss.map_or("-".into(), |x| Metric::Loss.show(x))
}

/// The scores of a run's last epoch as a table.
pub fn scores(summary: &Summary) -> String {
    let rows: Vec<_> = summary
        .results
        .iter()
        .map(|r| vec![r.split.to_string(), r.stats.to_string(), loss(r.loss), percent(r.accuracy)])
        .collect();
    table(&["split", "stats", "loss", "accuracy"], &rows)
}

#[cfg(test)]
mod tests {
    use super::{percent, short, table};

    #[test]
    fn columns_line_up_and_numbers_are_right_aligned() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let text = table(&["name", "n", "what"], &[row(["mnist", "9", "é"]), row(["a", "10 %", "x y"])]);
        assert_eq!(text, "name      n  what\nmnist     9  é\na      10 %  x y\n");
        assert_eq!(percent(Some(0.98765)), "98.77 %");
    }

    #[test]
    fn numbers_are_short() {
        let shown =
            [0.0992187500000001, 0.1, 0.30000000000000004, 1.0, 1234.56, 123456.0, 0.0, -0.05, 1.25e-12].map(short);
        assert_eq!(shown, ["0.09922", "0.1", "0.3", "1", "1235", "123456", "0", "-0.05", "1.25e-12"]);
    }
}
