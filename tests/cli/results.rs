//! Exit codes and what is printed where.

use std::process::Stdio;

use crate::support::{command, mbn, stderr, stdout};

#[test]
fn failures_that_are_not_usage_are_exit_code_1() {
    let output = mbn(&["eval", "no/such/run"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("no/such/run"));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let output = mbn(&["train", "--resume", "--out", out]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).starts_with("error: ") && stderr(&output).contains("nothing to resume"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn data_sets_are_listed_and_checked() {
    let table = stdout(&mbn(&["data", "list"]));
    let json: serde_json::Value = serde_json::from_str(&stdout(&mbn(&["data", "list", "--json"]))).unwrap();
    let listed: Vec<&str> = json.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(listed, mbn::data::DATASETS.iter().map(|kind| kind.name).collect::<Vec<_>>());
    assert!(listed.iter().all(|name| table.contains(name)), "{table}");
    let output = mbn(&["data", "check", "digits"]);
    assert!(output.status.success() && stdout(&output).contains("complete"), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&mbn(&["data", "fetch", "digits"])).contains("nothing to fetch"));
}

#[test]
fn a_closed_pipe_is_success() {
    let mut child = command(&["data", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty());
}
