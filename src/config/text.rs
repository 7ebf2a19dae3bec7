//! Values and places in TOML text.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// The one TOML value that `text` is; a bare word is a string.
pub(super) fn parse_value(text: &str) -> Result<Value, String> {
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.:/+".contains(c));
    match format!("value = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => table.remove("value").ok_or_else(|| "a value is missing".into()),
        _ if is_word => Ok(Value::String(text.into())),
        _ if text.is_empty() => Err("the value is missing; an empty string is written \"\"".into()),
        Ok(_) => Err("expected a single value".into()),
        Err(e) => Err(format!("{}; text with spaces or signs needs quotes", e.message())),
    }
}

/// The line, from 1, of each top-level key and of each key one table down (`mbn.size`).
pub(super) fn key_lines(text: &str) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    let Ok(document) = DeTable::parse(text) else { return lines };
    for (key, value) in document.get_ref() {
        lines.insert(key.get_ref().to_string(), line_of(text, key.span().start));
        if let DeValue::Table(inner) = value.get_ref() {
            for param in inner.keys() {
                let path = format!("{}.{}", key.get_ref(), param.get_ref());
                lines.insert(path, line_of(text, param.span().start));
            }
        }
    }
    lines
}

/// The line, from 1, of a byte of the text.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
