//! serde's messages about a value, in a user's terms.

/// serde's message without Rust's type names, with the closest accepted spelling where a name is unknown.
pub(crate) fn in_plain_words(message: &str) -> String {
    if message.contains("as i128") || message.contains("as u128") || message.contains("float overflow") {
        return super::text::TOO_LARGE.into();
    }
    let (what, expected) = message.trim().split_once("expected ").unwrap_or((message.trim(), ""));
    let expected = match expected.trim_end() {
        "usize" | "u64" | "u32" => "a whole number, not negative",
        "i64" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list, such as [1, 2]",
        "a map" => "a table",
        other => other,
    };
    let what = what.replace("invalid type: map", "invalid type: table").replace("floating point", "number");
    let near = if what.starts_with("unknown") { suggestion(&what, expected) } else { String::new() };
    match expected {
        "" => what,
        expected => format!("{}{near}; expected {expected}", what.trim_end_matches([',', ':', ' '])),
    }
}

/// The closest of the names that `accepted` quotes to the name that `what` quotes.
fn suggestion(what: &str, accepted: &str) -> String {
    let wanted = what.split('`').nth(1).unwrap_or_default();
    let names: Vec<&str> = accepted.split('`').skip(1).step_by(2).collect();
    crate::lookup::closest(wanted, &names)
}

#[cfg(test)]
mod tests {
    use super::in_plain_words;

    #[test]
    fn types_and_names_are_explained() {
        assert_eq!(
            in_plain_words("invalid type: string \"fast\", expected f64"),
            "invalid type: string \"fast\"; expected a number"
        );
        assert_eq!(
            in_plain_words("unknown field `sise`, expected one of `size`, `decay`\n"),
            "unknown field `sise` (did you mean `size`?); expected one of `size`, `decay`"
        );
        assert_eq!(in_plain_words("decay = 2: expected 0 to 1"), "decay = 2; expected 0 to 1");
        assert_eq!(in_plain_words("size must be positive"), "size must be positive");
    }
}
