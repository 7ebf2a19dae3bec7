//! Finding an entry of a table by name, with a helpful error when it is not there.

use crate::{Error, Result};

/// The entry of `table` called `wanted`; capitals and `_` for `-` are forgiven.
///
/// # Errors
/// No such entry: the message gives the closest spelling and every known name.
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

/// ` (did you mean ...?)` where one of `names` is near `wanted`, else nothing.
pub(crate) fn closest(wanted: &str, names: &[&str]) -> String {
    names
        .iter()
        .filter_map(|name| Some((nearness(wanted, name)?, name)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!(" (did you mean `{name}`?)"))
        .unwrap_or_default()
}

/// How near two spellings are; none if not near. A common beginning (Jaro-Winkler) counts, and so do few edits: `membn`
/// shares little of its beginning with `mbn`.
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
