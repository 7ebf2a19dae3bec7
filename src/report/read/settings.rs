//! The settings of a run in one spelling for all files, and which of them distinguish methods.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::config::{MEASURES, up_to_date};
use crate::text::one_line;

/// Settings that identify a run; they have fields and columns of their own.
const IDENTITY: [&str; 8] =
    ["dataset", "model", "norm", "double_forward", "batch_size", "norm_batch_size", "seed", "epochs"];

/// Settings that say how it is measured; they distinguish two runs only where nothing else does.
const MEASURING: [&str; 2] = ["precise_examples", "diagnostics_every"];

/// The learning rate of a run's first epoch according to its rows, for runs without a configuration.
pub const ROWS_LR: &str = "rows.lr";

/// Whether `key` distinguishes methods only among runs of one name at one batch size: rates in rows scale with the batch
/// size.
pub fn is_local(key: &str) -> bool {
    key == ROWS_LR || MEASURING.contains(&key)
}

/// A value in one spelling: `16`, whether a file has 16 or 16.0.
pub(super) fn plain(text: &str) -> String {
    let text = text.trim().trim_matches('"');
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => number.to_string(),
        _ => one_line(text),
    }
}

/// A number to four digits, enough to distinguish learning rates in rows.
pub(super) fn rounded(number: f64) -> String {
    plain(&format!("{number:.3e}"))
}

/// The settings in a configuration that can distinguish methods; a normalizer's parameter as `mbn.size`.
pub(super) fn of_config(config: &Table) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    // Settings that an older version did not have get the value it behaved as.
    let whole = up_to_date(config.clone());
    let config = whole.as_ref().unwrap_or(config);
    for (key, value) in config {
        match value {
            Value::Table(params) => {
                settings.extend(params.iter().map(|(name, value)| (format!("{key}.{name}"), plain(&value.to_string()))))
            }
            value if distinguishes(key) && is_measured(config, key) => {
                settings.insert(key.clone(), plain(&value.to_string()));
            }
            _ => {}
        }
    }
    settings
}

/// Whether the setting `key` can distinguish methods.
fn distinguishes(key: &str) -> bool {
    !IDENTITY.contains(&key) && !MEASURES.contains(&key)
}

/// Whether the measurement that `key` is a detail of is made at all.
fn is_measured(config: &Table, key: &str) -> bool {
    let is_on = |switch: &str| config.get(switch).and_then(Value::as_bool) == Some(true);
    match key {
        "precise_examples" => {
            let freezes = config.get("freeze_epochs").and_then(Value::as_integer).is_some_and(|epochs| epochs > 0);
            ["precise", "evalnorm", "diagnostics"].into_iter().any(is_on) || freezes
        }
        "diagnostics_every" => is_on("diagnostics"),
        _ => true,
    }
}

/// The setting in a column of a table of runs, if it holds one: `lr`, or a normalizer's parameter as `mbn.size`.
pub(super) fn of_column(column: &str) -> Option<String> {
    let known = match column.split_once('.') {
        Some((owner, _)) => crate::norm::find(owner).is_ok(),
        None => distinguishes(column) && crate::config::is_known(column),
    };
    known.then(|| column.to_string())
}
