//! Configurations from stdin, files of every kind, arguments of every kind.

use std::io::Write;
use std::process::Stdio;

use proptest::prelude::*;

use crate::support::{command, mbn, printed, refused, stderr, stdout};

#[test]
fn a_configuration_comes_from_stdin_too() {
    let read = |text: &[u8]| {
        let mut command = command(&["train", "--print-config", "--config", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = read(b"epochs = 7\n");
    assert!(stdout(&output).contains("epochs = 7"), "{}", stderr(&output));
    let output = read(b"\nepoch = 7\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("stdin:2") && stderr(&output).contains("`epochs`"), "{}", stderr(&output));
    let output = read(b"# nothing yet\n");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "note: stdin holds no settings: the defaults are used\n");
}

#[test]
fn a_sweep_has_a_file() {
    refused(&["sweep", "-", "--dry-run"], &["the sweep file is not read from standard input; give a file"]);
}

#[test]
fn files_that_are_no_utf8_text_are_called_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.toml");
    let path = file.to_str().unwrap();
    let utf16 = |bytes: fn(u16) -> [u8; 2]| "\u{feff}epochs = 1\n".encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for bytes in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        std::fs::write(&file, bytes).unwrap();
        refused(&["train", "--config", path], &["f.toml", "UTF-16"]);
        refused(&["sweep", path, "--dry-run"], &["f.toml", "UTF-16"]);
    }
    std::fs::write(&file, [0x7f, b'E', b'L', b'F', 0, 0xff, 0xfe]).unwrap();
    refused(&["train", "--config", path], &["f.toml", "not a text file"]);
    std::fs::write(&file, "\u{feff}epochs = 9\n").unwrap();
    printed(&["--config", path], "epochs = 9");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_argument_makes_the_program_panic(key in "[a-z_.]{0,10}", value in "\\PC{0,20}", flag in "(--?)?\\PC{0,10}") {
        prop_assume!(!key.contains('\0') && !value.contains('\0') && !flag.contains('\0'));
        let set = format!("{key}={value}");
        for args in [&["train", "--print-config", "--set", &set][..], &["train", "--print-config", &flag, &value]] {
            let output = mbn(args);
            prop_assert!(matches!(output.status.code(), Some(0 | 2)), "{:?}: {}", args, stderr(&output));
        }
    }

    #[test]
    fn no_file_makes_the_program_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        std::fs::write(&file, bytes).unwrap();
        let output = mbn(&["train", "--print-config", "--config", file.to_str().unwrap()]);
        prop_assert!(matches!(output.status.code(), Some(0 | 2)), "{}", stderr(&output));
    }
}
