//! The cells of a CSV line and their values.

use std::borrow::Cow;

/// Splits a record into cells, without the blanks and quotes around them; false where a quote is not closed.
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

/// A cell without its quotes; doubled quotes inside stand for one.
fn unquote(cell: &str) -> Cow<'_, str> {
    let cell = cell.trim();
    match cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if inner.contains('"') => Cow::Owned(inner.replace("\"\"", "\"")),
        Some(inner) => Cow::Borrowed(inner.trim()),
        None => Cow::Borrowed(cell),
    }
}

/// A number, or none for an empty cell or what pandas and R write for one. A percentage is divided by 100. A comma is
/// accepted where it is unambiguous; with `comma_is_decimal`, a single comma is always a decimal comma.
pub(super) fn number(cell: &str, comma_is_decimal: bool) -> Result<Option<f64>, ()> {
    if let Some(share) = cell.strip_suffix('%') {
        return Ok(number(share.trim_end(), comma_is_decimal)?.map(|share| share / 100.0));
    }
    match cell {
        "" | "-" | "NA" | "N/A" | "null" | "None" => Ok(None),
        _ if NOT_FINITE.iter().any(|other| cell.eq_ignore_ascii_case(other)) => Ok(Some(f64::NAN)),
        _ if cell.contains(',') => without_comma(cell, comma_is_decimal)?.parse().map(Some).map_err(|_| ()),
        _ => cell.parse().map(Some).map_err(|_| ()),
    }
}

/// Spellings of a non-finite number that Rust does not know: those of Microsoft's C library and of spreadsheets.
const NOT_FINITE: [&str; 8] = ["-nan(ind)", "nan(ind)", "1.#QNAN", "1.#IND", "-1.#IND", "1.#INF", "-1.#INF", "#NUM!"];

/// The number with a decimal point and no thousands separators; an error where `1,234` might be either.
fn without_comma(cell: &str, comma_is_decimal: bool) -> Result<String, ()> {
    let (Some(first), Some(last)) = (cell.find(','), cell.rfind(',')) else { return Ok(cell.to_string()) };
    match cell.rfind('.') {
        // 1.234,5
        Some(point) if point < first && first == last => return Ok(cell.replace('.', "").replace(',', ".")),
        // 1,234.5
        Some(point) if point > last => return Ok(cell.replace(',', "")),
        Some(_) => return Err(()),
        None => {}
    }
    let (whole, digits) = (cell[..first].trim_start_matches(['-', '+']), &cell[first + 1..]);
    let thousands = digits.len() == 3 && !whole.is_empty() && whole.len() <= 3 && !whole.starts_with('0');
    match first == last {
        true if thousands && !comma_is_decimal => Err(()),
        true => Ok(cell.replace(',', ".")),
        false => Ok(cell.replace(',', "")),
    }
}

/// A whole number, also as pandas writes it in a column that has gaps: `4.0`.
pub(super) fn whole(cell: &str) -> Result<Option<u64>, ()> {
    match cell.parse() {
        Ok(exact) => Ok(Some(exact)),
        Err(_) => match number(cell, false)? {
            None => Ok(None),
            Some(x) if x.fract() == 0.0 && (0.0..9e15).contains(&x) => Ok(Some(x as u64)),
            Some(_) => Err(()),
        },
    }
}

/// A truth value, in the spellings of Rust, Python, R and spreadsheets.
pub(super) fn truth(cell: &str) -> Result<Option<bool>, ()> {
    match cell.to_lowercase().as_str() {
        "true" | "t" | "yes" | "1" | "1.0" | "wahr" | "vrai" | "verdadero" | "vero" => Ok(Some(true)),
        "false" | "f" | "no" | "0" | "0.0" | "falsch" | "faux" | "falso" => Ok(Some(false)),
        "" | "na" | "none" | "null" => Ok(None),
        _ => Err(()),
    }
}
