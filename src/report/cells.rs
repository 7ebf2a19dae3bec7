//! What stands in the cells of a CSV line.

use std::borrow::Cow;

/// The cells of a line, without blanks and quotes around them; false where a quote is not closed.
pub(super) fn split<'a>(line: &'a str, delimiter: u8, cells: &mut Vec<Cow<'a, str>>) -> bool {
    cells.clear();
    let delimiter = char::from(delimiter);
    if !line.contains('"') {
        cells.extend(line.split(delimiter).map(|cell| Cow::Borrowed(cell.trim())));
        return true;
    }
    let (mut quoted, mut start) = (false, 0);
    for (i, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => {
                cells.push(unquote(&line[start..i]));
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    cells.push(unquote(&line[start..]));
    !quoted
}

/// A cell without its quotes; two of them inside stand for one.
fn unquote(cell: &str) -> Cow<'_, str> {
    let cell = cell.trim();
    match cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if inner.contains('"') => Cow::Owned(inner.replace("\"\"", "\"")),
        Some(inner) => Cow::Borrowed(inner.trim()),
        None => Cow::Borrowed(cell),
    }
}

/// A number, or nothing: an empty cell, and what pandas and R write for one.
pub(super) fn number(cell: &str) -> Result<Option<f64>, ()> {
    match cell {
        "" | "-" | "NA" | "N/A" | "null" | "None" => Ok(None),
        _ => cell.parse().map(Some).map_err(|_| ()),
    }
}

/// A whole number, also as pandas writes it in a column that has gaps: `4.0`.
pub(super) fn whole(cell: &str) -> Result<Option<u64>, ()> {
    match cell.parse() {
        Ok(exact) => Ok(Some(exact)),
        Err(_) => match number(cell)? {
            None => Ok(None),
            Some(x) if x.fract() == 0.0 && (0.0..9e15).contains(&x) => Ok(Some(x as u64)),
            Some(_) => Err(()),
        },
    }
}

/// Yes or no, in the spellings of Rust, Python, R and spreadsheets.
pub(super) fn truth(cell: &str) -> Result<Option<bool>, ()> {
    match cell.to_lowercase().as_str() {
        "true" | "t" | "yes" | "1" | "1.0" => Ok(Some(true)),
        "false" | "f" | "no" | "0" | "0.0" => Ok(Some(false)),
        "" | "na" | "none" | "null" => Ok(None),
        _ => Err(()),
    }
}
