//! Runs the program and parses its output.

use std::path::Path;
use std::process::{Command, Output};

pub fn mbn(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.args(args).env_remove("MBN_DATA_DIR").env_remove("RUST_BACKTRACE");
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Wrong usage: exit code 2, nothing on stdout, and a message with `parts`.
#[track_caller]
pub fn refused(args: &[&str], parts: &[&str]) {
    let output = mbn(args);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(message.contains(part), "{args:?}: `{part}` is not in: {message}");
    }
}

/// The line `key = value` of `--print-config`.
#[track_caller]
pub fn printed(args: &[&str], line: &str) {
    let output = mbn(&[&["train", "--print-config"], args].concat());
    let text = stdout(&output);
    assert!(text.lines().any(|l| l == line), "{args:?}: `{line}` is not in\n{text}{}", stderr(&output));
}

/// A run that takes seconds.
pub fn small_run(out: &Path, more: &[&str]) -> Command {
    let size = ["--set", "epochs=2", "--batch-size", "8", "--set", "train_limit=64", "--set", "test_limit=40"];
    let place = ["--model", "mlp", "--out", out.to_str().unwrap()];
    command(&[&["train"], &size[..], &place, more].concat())
}
