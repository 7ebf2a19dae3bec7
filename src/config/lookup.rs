//! Finding an entry of a table by name, with a helpful error when it is not there.

use crate::{Error, Result};

/// The entry of `table` called `wanted`; capitals and `_` for `-` are forgiven.
///
/// # Errors
/// No such entry: the message gives the closest spelling and every known name.
pub fn lookup<T>(what: &str, wanted: &str, table: &'static [T], name: fn(&T) -> &'static str) -> Result<&'static T> {
    let plain = wanted.trim().to_lowercase().replace('_', "-");
    if let Some(found) = table.iter().find(|entry| name(entry) == plain) {
        return Ok(found);
    }
    let names: Vec<&str> = table.iter().map(name).collect();
    Err(Error::config(format!("unknown {what} `{wanted}`{}; known: {}", closest(&plain, &names), names.join(", "))))
}

/// `; did you mean ...?` where one of `names` is near `wanted`, else nothing.
pub(crate) fn closest(wanted: &str, names: &[&str]) -> String {
    // A common beginning (jaro-winkler) or few edits: `membn` shares little of its beginning with `mbn`.
    let near = |name: &str| {
        let (beginning, edits) =
            (strsim::jaro_winkler(wanted, name), strsim::normalized_damerau_levenshtein(wanted, name));
        (beginning > 0.75 || edits >= 0.6).then_some(beginning + edits)
    };
    names
        .iter()
        .filter_map(|name| Some((near(name)?, name)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}
