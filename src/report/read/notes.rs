//! Remarks on the files, so that nothing is left out silently.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::text::{count, one_line};

/// A remark on a file or on the comparison as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The file or folder; none for the comparison as a whole.
    pub path: Option<PathBuf>,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// What was found and what was done about it.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}:", path.display())?;
        }
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, "{}{}", if self.path.is_some() { " " } else { "" }, self.text)
    }
}

/// The remarks so far.
#[derive(Debug, Default)]
pub struct Notes {
    list: Vec<CountedNote>,
}

/// A remark, and how many lines of its file it applies to: a thousand bad lines make one remark.
#[derive(Debug)]
struct CountedNote {
    note: Note,
    kind: String,
    lines: usize,
}

impl Notes {
    /// A remark on a line of a file: of each `kind` the first is given in full, the others are counted.
    pub fn line(&mut self, path: &Path, line: usize, kind: &str, text: impl Into<String>) {
        let same = |entry: &&mut CountedNote| {
            entry.lines > 0 && entry.kind == kind && entry.note.path.as_deref() == Some(path)
        };
        match self.list.iter_mut().rev().find(same) {
            Some(entry) => entry.lines += 1,
            None => {
                let note = Note { path: Some(path.to_path_buf()), line: Some(line), text: one_line(&text.into()) };
                self.list.push(CountedNote { note, kind: kind.to_string(), lines: 1 });
            }
        }
    }

    /// A remark on rows that are in a file twice: how many, and the line of the first.
    pub fn twice(&mut self, path: &Path, (rows, line): (usize, usize)) {
        if rows > 0 {
            let are = if rows == 1 { "is" } else { "are" };
            let rows = count(rows, "row");
            self.file(path, format!("{rows} {are} there twice (the first in line {line}); each counts once"));
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A remark on a file or folder.
    pub fn file(&mut self, path: &Path, text: impl Into<String>) {
        let note = Note { path: Some(path.to_path_buf()), line: None, text: one_line(&text.into()) };
        self.list.push(CountedNote { note, kind: String::new(), lines: 0 });
    }

    /// A remark on the comparison.
    pub fn say(&mut self, text: impl Into<String>) {
        self.list.push(CountedNote {
            note: Note { path: None, line: None, text: one_line(&text.into()) },
            kind: String::new(),
            lines: 0,
        });
    }

    /// Adds another reader's remarks.
    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
    }

    /// All of them; those that apply to several lines say to how many more.
    pub fn finish(self) -> Vec<Note> {
        let told = |CountedNote { mut note, lines, .. }: CountedNote| {
            match lines {
                0 | 1 => {}
                2 => note.text.push_str(" (and so in 1 more line)"),
                more => note.text.push_str(&format!(" (and so in {} more lines)", more - 1)),
            }
            note
        };
        self.list.into_iter().map(told).collect()
    }
}
