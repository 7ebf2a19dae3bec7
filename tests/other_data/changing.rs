//! Files that change while a run uses them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use crate::support::{small, two};

/// The message of a long run after `change` was made to its training images; it must fail.
fn after(change: impl Fn(&Path)) -> String {
    let dir = two();
    let mut run = small(dir.path(), &["--epochs", "1000000"])
        .args(["--data-dir", "a"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(messages.any(|line| line.contains("epoch 1/")));
    change(&dir.path().join("a/mnist/train-images-idx3-ubyte"));
    let rest: Vec<String> = messages.collect();
    assert_eq!(run.wait().unwrap().code(), Some(1), "{rest:?}");
    rest.join("\n")
}

#[test]
fn a_run_does_not_go_on_with_data_that_have_been_written_to() {
    // The same contents: only the file's modification time changes.
    let rewrite = |images: &Path| {
        let mut file = fs::OpenOptions::new().write(true).open(images).unwrap();
        file.write_all(&[0, 0, 8, 3]).unwrap();
    };
    let said = after(rewrite);
    assert!(said.contains("train-images-idx3-ubyte: was modified while in use"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_whose_data_are_cut_short_says_so() {
    let said = after(|images| fs::OpenOptions::new().write(true).open(images).unwrap().set_len(1000).unwrap());
    // The latter where it happens between the epoch's last batch and its record.
    assert!(said.contains("a data file was truncated") || said.contains("was modified while in use"), "{said}");
}
