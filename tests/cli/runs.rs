//! `mbn train`, from its first message to its records.

#[cfg(unix)]
use std::io::{BufRead, BufReader, Read};
#[cfg(unix)]
use std::process::{Command, Stdio};

use crate::support::{mbn, refused, small_run, stderr, stdout};

#[test]
fn a_run_leaves_its_records_and_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let output = small_run(dir.path(), &[]).output().unwrap();
    let (text, messages) = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{messages}");
    assert!(text.contains("test") && text.contains("memory") && text.contains(" %"), "{text}");
    assert!(messages.contains("2 epochs of 8 steps, learning rate 0.00625"), "{messages}");
    assert!(messages.contains("epoch 1/2") && messages.contains("epoch 2/2"), "{messages}");
    assert!(!messages.contains('\u{1b}') && !messages.contains('\r'), "{messages:?}");
    let run = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    for file in ["config.toml", "metrics.csv", "summary.json", "last.safetensors", "log.txt"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let metrics = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let again = small_run(dir.path(), &["--json"]).output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((summary["status"].as_str(), summary["epochs"].as_u64()), (Some("done"), Some(2)));
    assert!(stderr(&again).contains("already finished"), "{}", stderr(&again));
    assert_eq!(metrics, std::fs::read_to_string(run.join("metrics.csv")).unwrap());
    let quiet = small_run(dir.path(), &["--fresh", "--quiet"]).output().unwrap();
    assert!(quiet.status.success() && quiet.stderr.is_empty(), "{}", stderr(&quiet));
    let evaluated = mbn(&["eval", run.to_str().unwrap(), "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    assert_eq!(report["images"].as_u64(), Some(40));
}

#[test]
fn files_of_the_users_are_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let out = small_run(&dir.path().join("runs"), &[]).output().unwrap();
    assert!(out.status.success(), "{}", stderr(&out));
    let run = std::fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let folder = dir.path().join("mine");
    std::fs::create_dir(&folder).unwrap();
    let (rows, sweep) = (folder.join("comparison.csv"), folder.join("sweep.toml"));
    std::fs::copy(run.join("metrics.csv"), &rows).unwrap();
    std::fs::write(&sweep, "# notes of mine\n").unwrap();
    let file = dir.path().join("s.toml");
    std::fs::write(&file, "[fixed]\nmodel = \"mlp\"\nepochs = 1\ntrain_limit = 64\n").unwrap();
    let [folder, file] = [&folder, &file].map(|path| path.to_str().unwrap());
    let before = std::fs::read(&rows).unwrap();
    refused(&["compare", rows.to_str().unwrap(), "--out", folder], &["comparison.csv", "overwritten", "--out"]);
    refused(&["sweep", file, "--out", folder], &["sweep.toml", "overwritten", "--out"]);
    assert!(std::fs::read(&rows).unwrap() == before);
    assert_eq!(std::fs::read_to_string(&sweep).unwrap(), "# notes of mine\n");
}

#[test]
fn a_folder_that_is_not_looked_at_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let output = small_run(dir.path(), &["--data-dir", dir.path().to_str().unwrap()]).output().unwrap();
    assert!(stderr(&output).contains("--data-dir has no effect: digits is generated"), "{}", stderr(&output));
    let output = small_run(dir.path(), &["--fresh"]).env("MBN_DATA_DIR", dir.path()).output().unwrap();
    assert!(!stderr(&output).contains("no effect"), "{}", stderr(&output));
    let file = dir.path().join("s.toml");
    std::fs::write(&file, "[fixed]\ndataset = \"shapes\"\n").unwrap();
    for (args, name) in
        [(&["data", "check", "digits"][..], "digits"), (&["sweep", file.to_str().unwrap(), "--dry-run"], "shapes")]
    {
        let output = mbn(&[args, &["--data-dir", "gone"]].concat());
        let note = format!("--data-dir has no effect: {name} is generated");
        assert!(output.status.success() && stderr(&output).contains(&note), "{}", stderr(&output));
    }
}

#[test]
fn a_diverged_run_is_exit_code_1_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let output = small_run(dir.path(), &["--norm", "none", "--lr", "1e30"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("diverged at step"), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_saves_and_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = small_run(dir.path(), &["--epochs", "1000000"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("epoch 1/") {
        line.clear();
        assert!(messages.read_line(&mut line).unwrap() > 0, "the run ended by itself");
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    messages.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("interrupted after step") && rest.contains("same command continues"), "{rest}");
    let run = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    assert!(run.join("last.safetensors").is_file() && !run.join("summary.json").exists());
}
