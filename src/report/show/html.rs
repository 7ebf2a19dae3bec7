//! The report as one self-contained HTML page: no network, no script library, no fonts.

use std::fmt::Write;

use super::charts::ChartFile;
use super::document::{Comparison, Section};
use super::grid::{self, Grid};
use super::metric::Metric;
use super::svg::escape;
use crate::text::count;

/// The page's title, by which it is recognized.
pub(super) const TITLE: &str = "<title>Normalizers compared</title>";

/// The page, valid as XML and HTML; `charts` are those of each section.
pub fn page(comparison: &Comparison, charts: &[Vec<ChartFile>]) -> String {
    let runs = count(comparison.runs.len(), "run");
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\"/>\n<link rel=\"icon\" href=\"data:,\"/>\n\
         {TITLE}\n<style>\n{}</style>\n</head>\n<body>\n<main>\n\
         <h1>Normalizers compared</h1>\n<p>{runs}, read by mbn {}. Hover over or tap a mark for its values.</p>\n",
        include_str!("report.css"),
        escape(comparison.version),
    );
    notes(&mut out, comparison);
    for (section, charts) in comparison.sections.iter().zip(charts) {
        write_section(&mut out, comparison, section, charts);
    }
    out.push_str("<h2>How to read this</h2>\n");
    for line in grid::legend(comparison, comparison.sections.iter().flat_map(|section| &section.tables)) {
        let _ = writeln!(out, "<p>{}</p>", escape(line));
    }
    // Escaped, so that no name in the data can end the element.
    let data = serde_json::to_string(comparison).unwrap_or_default();
    let data = data.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let script = include_str!("report.js");
    let _ = write!(
        out,
        "</main>\n<div id=\"tip\" role=\"status\" hidden=\"\"></div>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{script}</script>\n</body>\n</html>\n"
    );
    out
}

/// The remarks on the files and on the comparison.
fn notes(out: &mut String, comparison: &Comparison) {
    if comparison.notes.is_empty() {
        return;
    }
    out.push_str("<h2>Notes</h2>\n<ul>\n");
    for note in &comparison.notes {
        let _ = writeln!(out, "<li>{}</li>", escape(&note.to_string()));
    }
    out.push_str("</ul>\n");
}

fn write_section(out: &mut String, comparison: &Comparison, section: &Section, charts: &[ChartFile]) {
    let _ = writeln!(out, "<h2>{}</h2>", escape(&section.name()));
    figures(out, charts.iter().filter(|file| !file.is_curve));
    let first = section.table(comparison.metric);
    let others = section.tables.iter().filter(|table| table.metric != comparison.metric);
    for table in first.into_iter().chain(others) {
        let folded = table.metric != comparison.metric && table.metric != Metric::Accuracy;
        if folded {
            let _ = writeln!(out, "<details><summary>{}</summary>", escape(table.metric.title()));
        }
        if let Some(grid) = grid::overview(section, table) {
            write_grid(out, &grid);
        }
        write_grid(out, &grid::scores(section, table));
        if let Some(grid) = grid::differences(section, table) {
            write_grid(out, &grid);
        }
        if folded {
            out.push_str("</details>\n");
        }
    }
    if let Some(grid) = grid::apart(section) {
        write_grid(out, &grid);
    }
    if charts.iter().any(|file| file.is_curve) {
        out.push_str("<h3>During training</h3>\n");
        figures(out, charts.iter().filter(|file| file.is_curve));
    }
}

fn figures<'a>(out: &mut String, charts: impl Iterator<Item = &'a ChartFile>) {
    out.push_str("<div class=\"figures\">\n");
    for file in charts {
        let _ = writeln!(out, "<figure>{}</figure>", file.chart.svg(false));
    }
    out.push_str("</div>\n");
}

fn write_grid(out: &mut String, grid: &Grid) {
    // The title is outside the region that scrolls on a narrow screen.
    let title = escape(&grid.title);
    let _ = write!(
        out,
        "<p class=\"title\">{title}</p>\n<div class=\"table\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\"><table>\n<thead><tr>"
    );
    for name in &grid.header {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(name.trim()));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let mut above = "";
    for row in &grid.rows {
        // A line between batch sizes.
        let first = row.first().map_or("", String::as_str);
        let _ = write!(out, "<tr{}>", if first == above { "" } else { " class=\"next\"" });
        above = first;
        for cell in row.iter().map(|cell| cell.trim()) {
            let number = cell.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c));
            let _ = write!(out, "<td{}>{}</td>", if number { " class=\"number\"" } else { "" }, escape(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}
