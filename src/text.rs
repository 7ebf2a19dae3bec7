//! Text files in whatever encoding other programs wrote them; numbers with their nouns; lists of names.

use std::path::Path;

use crate::{Error, Result};

/// `1 image`, `2 images`
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// `a, b and 3 more`: the first `most` names.
pub(crate) fn first(names: &[impl AsRef<str>], most: usize) -> String {
    let named = names.iter().take(most).map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Whether `bytes` begin with a byte-order mark of UTF-16, which spreadsheets and some editors write.
pub(crate) fn is_utf16(bytes: &[u8]) -> bool {
    let is_marked = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    is_marked && bytes.len().is_multiple_of(2)
}

/// The text in `bytes`, without a byte-order mark.
///
/// # Errors
/// They are not UTF-8; the message is the predicate of a sentence about the file.
pub(crate) fn decode(bytes: Vec<u8>) -> std::result::Result<String, String> {
    if is_utf16(&bytes) {
        return Err("is a UTF-16 file; save it as UTF-8".into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        match text.contains('\0') {
            true => "is not a text file".to_string(),
            false => format!("is not a text file, or not in UTF-8 (line {})", 1 + text.matches('\n').count()),
        }
    })?;
    if text.contains('\0') {
        return Err("is not a text file, or UTF-16 without a byte-order mark; save it as UTF-8".into());
    }
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

/// The text on one line, for tables and messages: one blank for several and for line ends, and a replacement character for
/// every control character, which a terminal would obey.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace(char::is_control, "\u{fffd}")
}

/// The text of a file named by the user; messages call it `what`.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub(crate) fn read(path: &Path, what: &str) -> Result<String> {
    if path == Path::new("-") {
        return Err(Error::config(format!("-: the {what} is not read from standard input; give a file")));
    }
    let bytes = std::fs::read(path).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::IsADirectory => "it is a folder".into(),
            _ => error.to_string(),
        };
        Error::config(format!("{}: cannot read the {what}: {why}", path.display()))
    })?;
    decode(bytes).map_err(|why| Error::config(format!("{}: the {what} {why}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::{count, decode, first, one_line};

    #[test]
    fn numbers_agree_with_their_nouns() {
        assert_eq!([0, 1, 2].map(|n| count(n, "step")), ["0 steps", "1 step", "2 steps"]);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(first(&["a", "b", "c"], 3), "a, b, c");
        assert_eq!(first(&["a", "b", "c"], 1), "a and 2 more");
    }

    #[test]
    fn no_control_character_is_left() {
        assert_eq!(one_line(" a\r\n b\tc "), "a b c");
        assert_eq!(one_line("\u{1b}[31mred\u{7}\u{9b}"), "\u{fffd}[31mred\u{fffd}\u{fffd}");
    }

    #[test]
    fn text_is_read_and_what_is_none_is_called_what_it_is() {
        let utf16: Vec<u8> = "lr = 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(b"lr = 1\n".to_vec()), Ok("lr = 1\n".into()));
        assert_eq!(decode("\u{feff}lr = 1\n".into()), Ok("lr = 1\n".into()));
        assert!(decode([&[0xff, 0xfe], &utf16[..]].concat()).unwrap_err().contains("UTF-16"));
        assert!(decode(vec![0xff, 0xfe, 0]).unwrap_err().contains("not a text file"));
        assert!(decode(utf16).unwrap_err().contains("UTF-16"));
        assert!(decode(b"a\nb\xff".to_vec()).unwrap_err().contains("line 2"));
        assert!(decode(b"PK\x03\x04\0\xff".to_vec()).unwrap_err().contains("not a text file"));
    }
}
