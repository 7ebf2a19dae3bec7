//! The settings of a run as text that two files write alike, and which of them matter to what is averaged.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::norm::NORMS;

/// Settings that say who a run is; they have fields and columns of their own.
const IDENTITY: [&str; 8] =
    ["dataset", "model", "norm", "double_forward", "batch_size", "norm_batch_size", "seed", "epochs"];

/// Settings that say what is measured beside training, which they do not change.
const MEASURING: [&str; 5] = ["gap", "precise", "precise_examples", "diagnostics", "diagnostics_every"];

/// A value as every file writes it: `16`, whether it was 16 or 16.0.
pub(super) fn plain(text: &str) -> String {
    let text = text.trim().trim_matches('"');
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => number.to_string(),
        _ => text.to_string(),
    }
}

/// The settings in a configuration that can tell two methods apart, a normalizer's as `mbn.size`.
pub(super) fn of_config(config: &Table) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (key, value) in config {
        match value {
            Value::Table(params) => {
                settings.extend(params.iter().map(|(name, value)| (format!("{key}.{name}"), plain(&value.to_string()))))
            }
            value if distinguishes(key) => {
                settings.insert(key.clone(), plain(&value.to_string()));
            }
            _ => {}
        }
    }
    settings
}

/// Whether the setting `key` can make two runs two methods.
fn distinguishes(key: &str) -> bool {
    !IDENTITY.contains(&key) && !MEASURING.contains(&key)
}

/// The setting that a column of a table of runs holds for runs with `norm`, if it is one: `lr`, `mbn.size`, or `size`
/// alone where `norm` has such a parameter.
pub(super) fn of_column(column: &str, norm: &str) -> Option<String> {
    let params = |name: &str| {
        let kind = NORMS.iter().find(|kind| kind.name == name);
        kind.and_then(|kind| kind.resolve(&Table::new()).ok()).unwrap_or_default()
    };
    if let Some((owner, _)) = column.split_once('.') {
        return (!params(owner).is_empty() || owner == norm).then(|| column.to_string());
    }
    if params(norm).contains_key(column) && column != "momentum" {
        return Some(format!("{norm}.{column}"));
    }
    (distinguishes(column) && crate::config::is_known(column)).then(|| column.to_string())
}
