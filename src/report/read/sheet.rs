//! CSV as found in practice: columns in any order, CRLF, a byte-order mark, quotes, comments, concatenated files, a
//! truncated last line.
//!
//! A quoted cell may span lines. An unmatched quote costs its own line, not the rest of the file. Every remark names its
//! line.

use std::borrow::Cow;
use std::path::Path;

use super::cells::{number, split};
use super::notes::Notes;
use crate::text::one_line;

/// Cells of a line that must be column names for the line to be another header.
const HEADER_WORDS: usize = 3;

/// Lines that one record may span.
const MOST_LINES: usize = 64;

/// What [`Sheet::next`] has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A header; the columns of the rows that follow may differ from those before.
    Header,
    /// A row with as many cells as the header.
    Row,
}

/// A CSV text, read once from the beginning.
pub(super) struct Sheet<'a> {
    path: &'a Path,
    rest: &'a str,
    line_end: char,
    known: &'a [&'a str],
    delimiter: Option<u8>,
    header: Vec<String>,
    pending: Option<Vec<String>>,
    cells: Vec<Cow<'a, str>>,
    /// Number of lines read, and the line in which the current record begins.
    read: usize,
    line: usize,
}

impl<'a> Sheet<'a> {
    /// The sheet in `text`, the contents of the file at `path`; `known` are the names that make a line a header.
    pub fn new(path: &'a Path, text: &'a str, known: &'a [&'a str]) -> Self {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let line_end = if rest.contains('\n') { '\n' } else { '\r' };
        let (header, cells) = (vec![], vec![]);
        Self { path, rest, line_end, known, delimiter: None, header, pending: None, cells, read: 0, line: 0 }
    }

    /// The current columns, in lower case.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Where the columns called `names` are.
    pub fn columns<const N: usize>(&self, names: [&str; N]) -> [Option<usize>; N] {
        names.map(|name| self.header.iter().position(|column| column == name))
    }

    /// The cells of the current row.
    pub fn cells(&self) -> &[Cow<'a, str>] {
        &self.cells
    }

    /// A cell of the current row; empty where there is no such column.
    pub fn cell(&self, column: Option<usize>) -> &str {
        column.and_then(|i| self.cells.get(i)).map_or("", |cell| cell.as_ref())
    }

    /// The number in a cell of the current row, as [`number`] reads it.
    pub fn number(&self, column: Option<usize>) -> Result<Option<f64>, ()> {
        number(self.cell(column), self.delimiter.is_some_and(|delimiter| delimiter != b','))
    }

    /// The number of the current record's first line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Reads up to the next header or row; what is neither is skipped with a remark.
    pub fn next(&mut self, notes: &mut Notes) -> Option<Step> {
        if let Some(header) = self.pending.take() {
            self.header = header;
            return Some(Step::Header);
        }
        loop {
            let before = self.rest;
            let (text, ended) = self.next_line()?;
            self.line = self.read;
            if text.trim().is_empty() || text.trim_start().starts_with('#') {
                continue;
            }
            if self.header.is_empty()
                && let Some(told) = told_delimiter(text)
            {
                self.delimiter = Some(told);
                continue;
            }
            let delimiter = *self.delimiter.get_or_insert_with(|| delimiter(text));
            let closed = split(text, delimiter, &mut self.cells);
            let Some(ended) = (if closed { Some(ended) } else { self.go_on(before, text, delimiter) }) else {
                notes.line(self.path, self.line, "quote", "a quote is not closed; the line is not read");
                continue;
            };
            if self.header.is_empty() || self.is_header() {
                self.header = self.cells.iter().map(|cell| column_name(cell)).collect();
                return Some(Step::Header);
            } else if let Some(step) = self.accept(ended, notes) {
                return Some(step);
            }
        }
    }

    /// Reads the further lines of a quoted cell, if they complete the record that `first` begins; returns whether the last of
    /// them has a line break. `before` is the text from that record on.
    fn go_on(&mut self, before: &'a str, first: &str, delimiter: u8) -> Option<bool> {
        let mark = (self.rest, self.read);
        let quotes = |line: &str| line.bytes().filter(|byte| *byte == b'"').count();
        let mut count = quotes(first);
        for _ in 1..MOST_LINES {
            let Some((line, ended)) = self.next_line() else { break };
            count += quotes(line);
            if count.is_multiple_of(2) {
                let record = before[..before.len() - self.rest.len()].trim_end_matches(['\r', '\n']);
                let whole = split(record, delimiter, &mut self.cells);
                self.drop_padding();
                if whole && (self.header.is_empty() || self.cells.len() == self.header.len()) {
                    return Some(ended);
                }
                break;
            }
        }
        (self.rest, self.read) = mark;
        None
    }

    fn next_line(&mut self) -> Option<(&'a str, bool)> {
        if self.rest.is_empty() {
            return None;
        }
        self.read += 1;
        let (line, rest, ended) = match self.rest.split_once(self.line_end) {
            Some((line, rest)) => (line, rest, true),
            None => (self.rest, "", false),
        };
        self.rest = rest;
        Some((line.strip_suffix('\r').unwrap_or(line), ended))
    }

    fn is_known(&self, cell: &str) -> bool {
        self.known.iter().any(|name| name.eq_ignore_ascii_case(cell))
    }

    /// Whether the line is the header of a concatenated file.
    fn is_header(&self) -> bool {
        let first = self.cells.first().map_or("", |cell| cell.as_ref());
        let starts = self.header[0].eq_ignore_ascii_case(first) || self.is_known(first);
        starts && self.cells.iter().filter(|cell| self.is_known(cell)).count() >= HEADER_WORDS
    }

    /// Drops empty cells beyond the header's last, which spreadsheets add.
    fn drop_padding(&mut self) {
        let wanted = self.header.len();
        if wanted > 0 && self.cells.len() > wanted && self.cells[wanted..].iter().all(|cell| cell.is_empty()) {
            self.cells.truncate(wanted);
        }
    }

    /// The step for the current cells: a row, where they are as many as the header's.
    fn accept(&mut self, ended: bool, notes: &mut Notes) -> Option<Step> {
        let wanted = self.header.len();
        self.drop_padding();
        let torn = !ended || (self.cells.len() != wanted && self.take_fused_header());
        if self.cells.len() != wanted {
            let (have, line) = (self.cells.len(), self.line);
            let what = if torn { "the line is cut off: it" } else { "the line" };
            notes.line(
                self.path,
                line,
                "cells",
                format!("{what} has {have} cells, the header {wanted}; the line is not read"),
            );
            return self.pending.take().map(|header| {
                self.header = header;
                Step::Header
            });
        }
        if torn {
            let column = self.header.last().map_or("", String::as_str);
            let text =
                format!("the line has no line break, so its last cell (`{column}`) may be cut off and is not used");
            notes.line(self.path, self.line, "torn", text);
            if let Some(last) = self.cells.last_mut() {
                *last = Cow::Borrowed("");
            }
        }
        Some(Step::Row)
    }

    /// Handles a file without a final line break that another was appended to: `...,7.5run,dataset,...`. The header is kept
    /// for the next step; the row's last cell stays cut off.
    fn take_fused_header(&mut self) -> bool {
        let beginning =
            |cell: &str| self.known.iter().filter(|name| cell.ends_with(**name)).max_by_key(|name| name.len());
        let seam = self.cells.windows(HEADER_WORDS).enumerate().find_map(|(i, cells)| {
            let names = cells[1..].iter().all(|cell| self.is_known(cell));
            Some((i, beginning(&cells[0]).filter(|_| names)?.to_string()))
        });
        let Some((seam, first)) = seam else { return false };
        let rest = self.cells[seam + 1..].iter().map(|cell| column_name(cell));
        self.pending = Some([first].into_iter().chain(rest).collect());
        self.cells.truncate(seam + 1);
        true
    }
}

/// A column's name as the program spells it.
fn column_name(cell: &str) -> String {
    one_line(cell).to_lowercase().replace([' ', '-'], "_")
}

/// The delimiter in a spreadsheet's first line `sep=;`, also where that line is quoted or padded with empty cells.
fn told_delimiter(line: &str) -> Option<u8> {
    let told = line.trim_matches('"').strip_prefix("sep=")?;
    let delimiter = told.bytes().next()?;
    told.bytes().all(|byte| byte == delimiter || byte == b'"').then_some(delimiter)
}

/// The delimiter of a header: comma, semicolon or tab.
fn delimiter(header: &str) -> u8 {
    let count = |delimiter: &u8| header.bytes().filter(|byte| byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}
