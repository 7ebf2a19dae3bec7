//! Rows, columns and the contents of a run folder.

use candle_core::Device;
use mbn::record::{RunDir, commit, read_summary};
use mbn::train::Checkpoint;

use crate::support::{failed, mbn, rows, train, trained};

#[test]
fn every_method_writes_the_rows_of_its_own_rule() {
    let dir = tempfile::tempdir().unwrap();
    for (norm, expected) in [
        ("bn", &["train batch", "val ema", "test ema", "test batch", "test precise"][..]),
        ("mbn", &["train memory", "val memory", "test memory", "test batch", "test precise"]),
        ("gn", &["train sample", "val sample", "test sample"]),
        ("none", &["train sample", "val sample", "test sample"]),
    ] {
        let args = ["--model", "mlp", "--norm", norm, "--batch-size", "8", "--val-fraction", "0.01", "--precise"];
        let found = rows(&trained(dir.path(), &args));
        assert_eq!(found.iter().map(|(row, _)| row.as_str()).collect::<Vec<_>>(), expected, "{norm}");
        assert!(found.iter().all(|(_, loss)| loss.parse::<f64>().is_ok_and(f64::is_finite)), "{norm}: {found:?}");
    }
}

#[test]
fn one_value_per_channel_is_refused_by_bn_and_remembered_by_mbn() {
    let dir = tempfile::tempdir().unwrap();
    for micro in [&["--batch-size", "1"][..], &["--batch-size", "4", "--norm-batch-size", "1"]] {
        let output = train(dir.path(), &[&["--norm", "bn"], micro].concat());
        failed(&output, 1, &["bn3", "one value per channel", "`mbn`", "`gn`"]);
        let output = train(dir.path(), &[&["--norm", "mbn", "--set", "mbn.pool=mean"], micro].concat());
        failed(&output, 1, &["bn3", "pool = \"mean\"", "use pool = \"total\""]);
        let run = trained(dir.path(), &[&["--norm", "mbn", "--double-forward"], micro].concat());
        let found = rows(&run);
        let memory = found.iter().find(|(row, _)| row == "test memory").unwrap();
        assert!(memory.1.parse::<f64>().is_ok());
        // Batch statistics of one value do not exist: the row says so with an empty cell.
        assert!(found.contains(&("test batch".into(), String::new())), "{found:?}");
        let output = mbn(dir.path(), &["eval", run.to_str().unwrap(), "--stats", "batch"]);
        failed(&output, 2, &["one value per channel"]);
    }
}

#[test]
fn a_run_s_own_configuration_is_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--model", "mlp", "--batch-size", "4", "--norm-batch-size", "2", "--set", "mbn.size=3"];
    let run = trained(dir.path(), &args);
    let config = run.join("config.toml");
    let again = mbn(dir.path(), &["train", "--json", "--config", config.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("already finished"));
    let json: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(run, dir.path().join("results/runs").join(json["run"].as_str().unwrap()));
}

#[test]
fn a_run_folder_is_one_process_s() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--model", "mlp", "--batch-size", "8"];
    let run = trained(dir.path(), &args);
    let held = RunDir::create(&run).unwrap();
    failed(
        &train(dir.path(), &[&args[..], &["--fresh"]].concat()),
        1,
        &["another process", "results/runs/digits-mlp-mbn-b8-s0-"],
    );
    assert!(run.join("metrics.csv").exists(), "nothing of the other process's is touched");
    let output = mbn(dir.path(), &["eval", run.to_str().unwrap()]);
    assert!(output.status.success(), "reading is allowed: {}", String::from_utf8_lossy(&output.stderr));
    drop(held);
    trained(dir.path(), &[&args[..], &["--fresh"]].concat());
}

#[test]
fn nothing_to_resume_leaves_nothing_behind_and_lost_rows_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--model", "mlp", "--batch-size", "8"];
    failed(&train(dir.path(), &[&args[..], &["--resume"]].concat()), 1, &["nothing to resume", "leave out --resume"]);
    assert!(!dir.path().join("results").exists());
    let run = trained(dir.path(), &args);
    std::fs::remove_file(run.join("summary.json")).unwrap();
    let metrics = run.join("metrics.csv");
    let text = std::fs::read_to_string(&metrics).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(&metrics, &text[..cut]).unwrap();
    failed(&train(dir.path(), &args), 1, &["metrics.csv", "2 rows", "counts 3", "--fresh"]);
    assert_eq!(std::fs::read_to_string(&metrics).unwrap(), text[..cut], "nothing is overwritten");
    trained(dir.path(), &[&args[..], &["--fresh"]].concat());
}

#[test]
fn a_run_that_another_build_continues_says_so() {
    let Some(own) = commit() else { return };
    let dir = tempfile::tempdir().unwrap();
    let args = ["--model", "mlp", "--batch-size", "8"];
    let run = trained(dir.path(), &args);
    assert_eq!(read_summary(&run).unwrap().unwrap().git_commits, Vec::<String>::new());
    let last = run.join("last.safetensors");
    let mut checkpoint = Checkpoint::load(&last, &Device::Cpu).unwrap();
    assert_eq!(checkpoint.metadata.insert("commits".into(), "0123456789ab".into()).as_deref(), Some(own));
    checkpoint.save(&last).unwrap();
    std::fs::remove_file(run.join("summary.json")).unwrap();
    let output = train(dir.path(), &args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("begun by commit 0123456789ab; it goes on with {own}")), "{said}");
    let summary = read_summary(&run).unwrap().unwrap();
    assert_eq!((summary.git_commits, summary.commit.as_deref()), (vec!["0123456789ab".into(), own.into()], Some(own)));
}
