//! Tables of settings as sweep files write them.

use toml::{Table, Value};

/// The table with `key = value`, the key dotted for a normalizer's parameter.
pub(super) fn table_of(key: &str, value: &Value) -> Table {
    nested(Table::from_iter([(key.to_string(), value.clone())]))
}

/// The table with a quoted `"mbn.size"` where it belongs, in the table `mbn`. A key that is there already, or whose
/// place is taken by something else, stays as it is written.
pub(super) fn nested(table: Table) -> Table {
    let (quoted, plain): (Vec<_>, Vec<_>) = table.into_iter().partition(|(key, _)| key.contains('.'));
    let mut plain = Table::from_iter(plain);
    for (key, value) in quoted {
        let Some((section, param)) = key.split_once('.') else { continue };
        let inner = plain.entry(section).or_insert_with(|| Table::new().into());
        match inner.as_table_mut().filter(|inner| !inner.contains_key(param)) {
            Some(inner) => drop(inner.insert(param.to_string(), value)),
            None => drop(plain.insert(key, value)),
        }
    }
    plain
}

/// The keys of a table, `mbn.size` for a key one table down.
pub(super) fn flat_keys(table: &Table) -> Vec<String> {
    let below = |(key, value): (&String, &Value)| match value {
        Value::Table(inner) => inner.keys().map(|param| format!("{key}.{param}")).collect(),
        _ => vec![key.clone()],
    };
    table.iter().flat_map(below).collect()
}

/// The value of a key that [`flat_keys`] gave.
pub(super) fn value_of<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((section, param)) => table.get(section)?.get(param),
        None => table.get(key),
    }
}
