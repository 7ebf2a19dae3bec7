//! The records of a run, and of one that fails.

use crate::support::{SMALL, numbers, only_run, output, succeed};

#[test]
fn a_finished_run_is_not_repeated_and_evaluates_to_its_own_rows() {
    let dir = tempfile::tempdir().unwrap();
    succeed(dir.path(), SMALL);
    let run = only_run(dir.path());
    let stamp = std::fs::metadata(run.join("last.safetensors")).unwrap().modified().unwrap();
    succeed(dir.path(), SMALL);
    assert_eq!(stamp, std::fs::metadata(run.join("last.safetensors")).unwrap().modified().unwrap());

    let rows = numbers(&run.join("metrics.csv"));
    let run = run.to_str().unwrap();
    for (split, stats) in [
        ("test", "memory"),
        ("val", "memory"),
        ("test", "batch"),
        ("test", "precise"),
        ("test", "weighing"),
        ("test", "evalnorm"),
    ] {
        let json = succeed(dir.path(), &["eval", run, "--split", split, "--stats", stats, "--json"]);
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        // Columns 10 to 13: split, stats, loss, accuracy.
        let row = rows.iter().rev().find(|row| row[10] == split && row[11] == stats).unwrap();
        for (column, key) in [(12, "loss"), (13, "accuracy")] {
            assert_eq!(row[column].parse::<f64>().unwrap(), report[key].as_f64().unwrap(), "{split} {stats} {key}");
        }
    }
    let ema = succeed(dir.path(), &["eval", run, "--stats", "ema", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ema).unwrap();
    assert_eq!(report["stats"], "ema");
    assert!(report["accuracy"].as_f64().unwrap() > 0.3, "{report}");
}

#[test]
fn a_run_that_leaves_the_finite_numbers_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["train", "--model", "mlp", "--norm", "none", "--lr", "1e6", "--train-limit", "640", "--epochs", "1"];
    let out = output(dir.path(), &args);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("diverged") && stderr.contains("step"), "{stderr}");
    let text = std::fs::read_to_string(only_run(dir.path()).join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["status"], "diverged");
    assert!(summary["diverged"]["step"].as_u64().unwrap() >= 1);
    assert!(!summary["diverged"]["tensor"].as_str().unwrap().is_empty());
}

/// An IDX file of those dimensions.
fn idx(dims: &[u32], bytes: &[u8]) -> Vec<u8> {
    let header = (0x0800 + dims.len() as u32).to_be_bytes().into_iter();
    header.chain(dims.iter().flat_map(|d| d.to_be_bytes())).chain(bytes.iter().copied()).collect()
}

#[test]
fn a_row_beside_the_own_rule_may_be_undefined_and_the_run_is_still_done() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data/mnist");
    std::fs::create_dir_all(&data).unwrap();
    let noise: Vec<u8> = (0..64 * 784u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let labels: Vec<u8> = (0..64).map(|i| i % 10).collect();
    // The test images are all alike: under their own statistics every variance is 0.
    let alike: Vec<u8> = noise[..784].iter().copied().cycle().take(16 * 784).collect();
    for (name, bytes) in [
        ("train-images-idx3-ubyte", idx(&[64, 28, 28], &noise)),
        ("train-labels-idx1-ubyte", idx(&[64], &labels)),
        ("t10k-images-idx3-ubyte", idx(&[16, 28, 28], &alike)),
        ("t10k-labels-idx1-ubyte", idx(&[16], &labels[..16])),
    ] {
        std::fs::write(data.join(name), bytes).unwrap();
    }
    let args = ["--dataset", "mnist", "--data-dir", "data", "--model", "mlp", "--norm", "bn", "--set", "bn.eps=1e-300"];
    succeed(dir.path(), &[&["train", "--batch-size", "16", "--epochs", "2"], &args[..]].concat());
    let rows = numbers(&only_run(dir.path()).join("metrics.csv"));
    let of = |stats: &str| rows.iter().filter(|row| row[10] == "test" && row[11] == stats).collect::<Vec<_>>();
    assert!(
        of("ema").len() == 2 && of("ema").iter().all(|row| row[12].parse::<f64>().unwrap().is_finite()),
        "{rows:?}"
    );
    assert!(
        of("batch").len() == 2 && of("batch").iter().all(|row| row[12].is_empty() && row[13].is_empty()),
        "{rows:?}"
    );
    let log = std::fs::read_to_string(only_run(dir.path()).join("log.txt")).unwrap();
    assert!(log.contains("epoch 2: no score under batch statistics"), "{log}");
}
