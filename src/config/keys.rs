//! The keys of a configuration, and the errors about unknown ones.

use toml::{Table, Value};

use super::Config;
use super::messages::in_plain_words;
use crate::lookup::closest;
use crate::norm::NORMS;

/// Whether `key` is one of the run's own settings and `value` has its type.
///
/// # Errors
/// What is wrong, what is accepted, and the closest spelling.
pub(super) fn check(key: &str, value: &Value) -> Result<(), String> {
    if is_known(key) {
        let alone = Table::from_iter([(key.to_string(), value.clone())]);
        return match alone.try_into::<Config>() {
            Ok(_) => Ok(()),
            Err(e) => Err(format!("`{key}`: {}", in_plain_words(e.message()))),
        };
    }
    let norms: Vec<&str> = NORMS.iter().map(|kind| kind.name).collect();
    if norms.contains(&key) {
        return Err(format!("`{key}` is a table of parameters; write `{key}.PARAMETER`, or [{key}]"));
    }
    if value.is_table() {
        let near = closest(key, &norms);
        return Err(format!("unknown section `{key}`{near}\nhint: sections are {}", norms.join(", ")));
    }
    let keys = known_keys();
    let owner = NORMS.iter().find(|kind| kind.resolve(&Table::new()).is_ok_and(|params| params.contains_key(key)));
    let near = match owner {
        Some(kind) => format!("; a normalizer's parameter is written `{}.{key}`", kind.name),
        None => closest(key, &keys.iter().map(String::as_str).collect::<Vec<_>>()),
    };
    Err(format!("unknown key `{key}`{near}\nhint: keys are {}", keys.join(", ")))
}

/// Whether `key` is one of the run's own settings.
pub(crate) fn is_known(key: &str) -> bool {
    known_keys().iter().any(|known| known == key)
}

/// The keys of [`Config`], as serde writes them.
fn known_keys() -> Vec<String> {
    // Optional keys are written only if they have a value.
    let full = Config { augment: Some(true), data_digest: Some(String::new()), ..Config::default() };
    Table::try_from(full).map(|table| table.into_iter().map(|(key, _)| key).collect()).unwrap_or_default()
}
