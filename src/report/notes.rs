//! What was odd about the files: nothing is left out in silence.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Remarks on one file that are given in full; a thousand bad lines are one mistake.
const PER_FILE: usize = 6;

/// A remark on a file or on the comparison as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The file or folder.
    pub path: Option<PathBuf>,
    /// The line, from 1.
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
pub(super) struct Notes {
    list: Vec<Note>,
    counts: BTreeMap<PathBuf, usize>,
}

impl Notes {
    /// A remark on a line of a file.
    pub fn line(&mut self, path: &Path, line: usize, text: impl Into<String>) {
        let count = self.counts.entry(path.to_path_buf()).or_default();
        *count += 1;
        if *count <= PER_FILE {
            self.list.push(Note { path: Some(path.to_path_buf()), line: Some(line), text: text.into() });
        }
    }

    /// A remark on a file or folder.
    pub fn file(&mut self, path: &Path, text: impl Into<String>) {
        self.list.push(Note { path: Some(path.to_path_buf()), line: None, text: text.into() });
    }

    /// A remark on the comparison.
    pub fn say(&mut self, text: impl Into<String>) {
        self.list.push(Note { path: None, line: None, text: text.into() });
    }

    /// Adds another reader's remarks.
    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
        for (path, count) in other.counts {
            *self.counts.entry(path).or_default() += count;
        }
    }

    /// All of them; where a file had too many, how many more there were.
    pub fn finish(mut self) -> Vec<Note> {
        for (path, count) in std::mem::take(&mut self.counts) {
            if count > PER_FILE {
                self.file(&path, format!("and {} more lines like these", count - PER_FILE));
            }
        }
        self.list
    }
}
