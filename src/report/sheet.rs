//! CSV as people leave it: columns in any order, CRLF, a byte order mark, quotes, comments, files put end to end, a last
//! line torn off.
//!
//! It is read line by line, so that a stray quote costs its line and not the rest of the file, and every remark names
//! its line.

use std::borrow::Cow;
use std::path::Path;

use super::cells::split;
use super::notes::Notes;

/// Cells of a line that are column names for the line to be a header, too.
const HEADER_WORDS: usize = 3;

/// What [`Sheet::next`] has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A header: the columns of what follows may be others.
    Header,
    /// A row with as many cells as the header.
    Row,
}

/// A CSV text, read once from its beginning.
pub(super) struct Sheet<'a> {
    path: &'a Path,
    rest: &'a str,
    known: &'a [&'a str],
    delimiter: u8,
    header: Vec<String>,
    pending: Option<Vec<String>>,
    cells: Vec<Cow<'a, str>>,
    line: usize,
}

impl<'a> Sheet<'a> {
    /// The sheet in `text`, which is that of the file at `path`; `known` are the names that make a line a header.
    pub fn new(path: &'a Path, text: &'a str, known: &'a [&'a str]) -> Self {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { path, rest, known, delimiter: b',', header: vec![], pending: None, cells: vec![], line: 0 }
    }

    /// The current columns, in lower case.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Where the columns called `names` are.
    pub fn columns<const N: usize>(&self, names: [&str; N]) -> [Option<usize>; N] {
        names.map(|name| self.header.iter().position(|column| column == name))
    }

    /// A cell of the current row; empty where there is no such column.
    pub fn cell(&self, column: Option<usize>) -> &str {
        column.and_then(|i| self.cells.get(i)).map_or("", |cell| cell.as_ref())
    }

    /// The number of the current line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Goes on to the next header or row; what is neither is remarked on and passed over.
    pub fn next(&mut self, notes: &mut Notes) -> Option<Step> {
        if let Some(header) = self.pending.take() {
            self.header = header;
            return Some(Step::Header);
        }
        while let Some((text, ended)) = self.next_line() {
            if text.trim().is_empty() || text.trim_start().starts_with('#') {
                continue;
            }
            if self.header.is_empty() {
                self.delimiter = delimiter(text);
            }
            if !split(text, self.delimiter, &mut self.cells) {
                notes.line(self.path, self.line, "a quote is not closed; the line is not read");
            } else if self.header.is_empty() || self.is_header() {
                self.header = self.cells.iter().map(|cell| column_name(cell)).collect();
                return Some(Step::Header);
            } else if let Some(step) = self.accept(ended, notes) {
                return Some(step);
            }
        }
        None
    }

    fn next_line(&mut self) -> Option<(&'a str, bool)> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let (line, rest, ended) = match self.rest.split_once('\n') {
            Some((line, rest)) => (line, rest, true),
            None => (self.rest, "", false),
        };
        self.rest = rest;
        Some((line.strip_suffix('\r').unwrap_or(line), ended))
    }

    fn is_known(&self, cell: &str) -> bool {
        self.known.iter().any(|name| name.eq_ignore_ascii_case(cell))
    }

    /// Whether the line is the header of a file that was put behind another.
    fn is_header(&self) -> bool {
        let first = self.cells.first().map_or("", |cell| cell.as_ref());
        let starts = self.header[0].eq_ignore_ascii_case(first) || self.is_known(first);
        starts && self.cells.iter().filter(|cell| self.is_known(cell)).count() >= HEADER_WORDS
    }

    /// The step for the current cells, where they are a row: as many as the header has.
    fn accept(&mut self, ended: bool, notes: &mut Notes) -> Option<Step> {
        let wanted = self.header.len();
        if self.cells.len() > wanted && self.cells[wanted..].iter().all(|cell| cell.is_empty()) {
            self.cells.truncate(wanted);
        }
        let torn = !ended || (self.cells.len() != wanted && self.take_fused_header());
        if self.cells.len() != wanted {
            let (have, line) = (self.cells.len(), self.line);
            let what = if torn { "torn off: it" } else { "the line" };
            notes.line(self.path, line, format!("{what} has {have} cells, the header {wanted}; the line is not read"));
            return self.pending.take().map(|header| {
                self.header = header;
                Step::Header
            });
        }
        if torn {
            let column = self.header.last().map_or("", String::as_str);
            let text = format!("the line has no end, so its last cell (`{column}`) may be cut and is not used");
            notes.line(self.path, self.line, text);
            if let Some(last) = self.cells.last_mut() {
                *last = Cow::Borrowed("");
            }
        }
        Some(Step::Row)
    }

    /// A file without a last line end that another was put behind: `...,7.5run,dataset,...`. The header is kept for the
    /// next step, the row's last cell stays cut.
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
    cell.to_lowercase().replace([' ', '-'], "_")
}

/// What separates the cells of a header: spreadsheets also write semicolons and tabs.
fn delimiter(header: &str) -> u8 {
    let count = |delimiter: &u8| header.bytes().filter(|byte| byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}
