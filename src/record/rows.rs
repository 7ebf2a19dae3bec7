//! CSV files of rows: the header is the row type's field names, floats are in shortest round-trip form, a missing value
//! is an empty cell.

use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::atomic;
use crate::{Error, Result, text};

/// Replaces the file at `path` by `rows` under their header; without rows, by the header alone.
///
/// # Errors
/// I/O errors.
pub fn write_rows<T: Serialize + Default>(path: &Path, rows: &[T]) -> Result<()> {
    let bytes = csv_bytes(rows).map_err(|reason| Error::io(path)(std::io::Error::other(reason)))?;
    atomic::write(path, &bytes)
}

/// The text of such a file.
pub(crate) fn csv_bytes<T: Serialize + Default>(rows: &[T]) -> std::result::Result<Vec<u8>, String> {
    // The writer derives the header from a row, so without rows it needs a stand-in.
    let stand_in = [T::default()];
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in if rows.is_empty() { &stand_in } else { rows } {
        writer.serialize(row).map_err(|e| e.to_string())?;
    }
    let mut bytes = writer.into_inner().map_err(|e| e.to_string())?;
    if rows.is_empty() {
        bytes.truncate(bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    }
    Ok(bytes)
}

/// The rows of the file at `path` that `keep` accepts; none where there is no file.
///
/// A last line without a line end was cut off while it was written, and is ignored.
///
/// # Errors
/// The file cannot be read, is not UTF-8, lacks a column, or a cell has the wrong type: the message gives file and line.
pub fn read_rows<T: DeserializeOwned>(path: &Path, keep: impl Fn(&T) -> bool) -> Result<Vec<T>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
        bytes => bytes.map_err(Error::io(path))?,
    };
    let text = decode(bytes, path)?;
    let mut rows = vec![];
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
        let row: T = row.map_err(|error| broken(path, &error))?;
        if keep(&row) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The whole lines of the file.
fn decode(mut bytes: Vec<u8>, path: &Path) -> Result<String> {
    // In UTF-16 a line end is not a single byte; the decoder refuses such a file.
    if !text::is_utf16(&bytes) {
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    }
    text::decode(bytes).map_err(|why| Error::data(path, format!("the file {why}, or {START_OVER}")))
}

const START_OVER: &str = "discard the run's files and start over with --fresh";

fn broken(path: &Path, error: &csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => match err.field().and_then(|field| usize::try_from(field).ok()) {
            Some(field) => format!("column {}: {}", field + 1, err.kind()),
            None => err.kind().to_string(),
        },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells, the header has {expected_len}")
        }
        _ => error.to_string(),
    };
    let line_path = format!("{}:{line}", path.display());
    Error::data(line_path, format!("{what}; correct the file, or {START_OVER}"))
}
