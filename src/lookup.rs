//! Looking up an entry of a table by name, with a suggestion when it does not exist.

use crate::{Error, Result};

/// The entry of `table` called `wanted`; upper case and `_` for `-` are accepted.
///
/// # Errors
/// There is no such entry. The message suggests the closest spelling and lists every known name.
pub(crate) fn lookup<T>(
    what: &str,
    wanted: &str,
    table: &'static [T],
    name: fn(&T) -> &'static str,
) -> Result<&'static T> {
    let plain = wanted.trim().to_lowercase().replace('_', "-");
    if let Some(found) = table.iter().find(|entry| name(entry) == plain) {
        return Ok(found);
    }
    let names: Vec<&str> = table.iter().map(name).collect();
    Err(Error::config(format!("unknown {what} `{wanted}`{}; known: {}", closest(&plain, &names), names.join(", "))))
}

/// ` (did you mean ...?)` where one of `names` is similar to `wanted`, else an empty string.
pub(crate) fn closest(wanted: &str, names: &[&str]) -> String {
    names
        .iter()
        .filter_map(|name| Some((nearness(wanted, name)?, name)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!(" (did you mean `{name}`?)"))
        .unwrap_or_default()
}

/// How similar two spellings are; none where they are not. Jaro-Winkler rewards a common prefix; the edit distance catches
/// `membn` for `mbn`, which share little of one.
fn nearness(a: &str, b: &str) -> Option<f64> {
    let (beginning, edits) = (strsim::jaro_winkler(a, b), strsim::normalized_damerau_levenshtein(a, b));
    (beginning > 0.75 || edits >= 0.6).then_some(beginning + edits)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let names = ["bn", "mbn", "gn", "none", "batch_size", "norm_batch_size", "double_forward"];
        for (wanted, near) in [
            ("mnb", "mbn"),
            ("nnoe", "none"),
            ("batchsize", "batch_size"),
            ("double", "double_forward"),
            ("membn", "mbn"),
        ] {
            assert_eq!(closest(wanted, &names), format!(" (did you mean `{near}`?)"), "{wanted}");
        }
        for wanted in ["", "x", "lr", "learning"] {
            assert_eq!(closest(wanted, &names), "", "{wanted}");
        }
    }
}
