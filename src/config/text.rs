//! Values and places in TOML text.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// The one TOML value that `text` is; a bare word is a string.
pub(super) fn parse_value(text: &str) -> Result<Value, String> {
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.:/+".contains(c));
    if text.starts_with('=') {
        return Err("one `=` is enough".into());
    }
    let with_point = text.replacen(',', ".", 1);
    if text.contains(',') && with_point.parse::<f64>().is_ok() {
        return Err(format!("decimals are written with a point: {with_point}"));
    }
    match format!("value = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => table.remove("value").ok_or_else(|| "a value is missing".into()),
        _ if is_word && text.parse::<f64>().is_ok() => Err(TOO_LARGE.into()),
        _ if is_word => Ok(Value::String(text.into())),
        _ if text.is_empty() => Err("the value is missing; an empty string is written \"\"".into()),
        Ok(_) => Err("expected a single value".into()),
        Err(e) => Err(format!("{}; text with spaces or special characters needs quotes", e.message())),
    }
}

/// Where the keys of a TOML text stand.
pub(crate) struct Places<'a> {
    name: &'a str,
    text: &'a str,
    offsets: BTreeMap<String, usize>,
}

impl<'a> Places<'a> {
    /// The places in `text`, which messages call `name`; none where it is not TOML.
    pub(crate) fn of(name: &'a str, text: &'a str) -> Self {
        let mut offsets = BTreeMap::new();
        if let Ok(document) = DeTable::parse(text) {
            note_table("", document.get_ref(), &mut offsets);
        }
        Self { name, text, offsets }
    }

    /// The first byte of the key at `path`: dotted, elements of arrays by number (`mbn.size`, `variant.0.label`).
    pub(crate) fn offset(&self, path: &str) -> usize {
        self.offsets.get(path).copied().unwrap_or(0)
    }

    /// `name:line` of the key at `path`.
    pub(crate) fn line(&self, path: &str) -> String {
        format!("{}:{}", self.name, line_of(self.text, self.offset(path)))
    }
}

fn note_table(path: &str, table: &DeTable, offsets: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        offsets.insert(path.clone(), key.span().start);
        note_value(&path, value.get_ref(), offsets);
    }
}

fn note_value(path: &str, value: &DeValue, offsets: &mut BTreeMap<String, usize>) {
    match value {
        DeValue::Table(inner) => note_table(path, inner, offsets),
        DeValue::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let path = format!("{path}.{i}");
                offsets.insert(path.clone(), item.span().start);
                note_value(&path, item.get_ref(), offsets);
            }
        }
        _ => {}
    }
}

/// The message about a number that fits neither a 64-bit integer nor a finite float.
pub(super) const TOO_LARGE: &str = "the number is too large";

/// Where a TOML text is wrong, `name:line`, and the key whose value stands there, if one does.
pub(crate) fn place_of_error(name: &str, text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return name.to_string() };
    let place = format!("{name}:{}", line_of(text, span.start));
    let end = text[span.start..].find('\n').map_or(text.len(), |length| span.start + length);
    // A value of several lines belongs to the key that came last.
    let key = text[..end].lines().rev().find_map(|line| line.split_once('=')).map(|(key, _)| key.trim());
    let is_key = |key: &&str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
    match key.filter(is_key) {
        Some(key) => format!("{place}: `{key}`"),
        None => place,
    }
}

/// The line, from 1, of a byte of the text.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
