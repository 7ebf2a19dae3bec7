//! Which files in the folder of a report are reports of earlier calls, and may be replaced.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::html::TITLE;
use super::svg::CHART_START;
use crate::{Error, Result};

/// As much of a file is read to recognize it.
const BEGINNING: u64 = 2048;

/// Refuses to replace the file at `path` if it is none of `mbn compare`.
pub(super) fn check(path: &Path) -> Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file.map_err(Error::io(path))?,
    };
    let mut bytes = vec![];
    // What cannot be read is not recognized.
    let read = file.take(BEGINNING).read_to_end(&mut bytes).is_ok();
    if read && (bytes.is_empty() || is_own(&String::from_utf8_lossy(&bytes))) {
        return Ok(());
    }
    let why = "was not written by `mbn compare` and is not replaced; choose another --out, or move the file away";
    Err(Error::data(path, why))
}

/// Whether a file that begins with `text` is a page, chart or table of a comparison.
fn is_own(text: &str) -> bool {
    let header = text.lines().next().unwrap_or_default();
    let is_table = header.starts_with("dataset,model,") && header.contains(",ci_low,");
    text.starts_with(CHART_START) || text.contains(TITLE) || is_table
}
