//! Ten thousand runs.

use std::time::{Duration, Instant};

use super::support::{FakeRun, cell, json, near};

#[test]
fn ten_thousand_runs_are_compared() {
    ten_thousand(|_| {});
}

#[test]
#[ignore = "needs two idle cores"]
fn ten_thousand_runs_take_seconds() {
    ten_thousand(|took| {
        eprintln!("10 000 runs of 10 epochs: {took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

/// Compares 10 000 run folders, with charts and page; `time` receives the duration.
fn ten_thousand(time: impl Fn(Duration)) {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    for norm in ["bn", "mbn", "gn", "none"] {
        for batch in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
            for seed in 0..250 {
                let run = FakeRun::new(norm, batch, seed, 0.5 + 0.001 * seed as f64);
                FakeRun { epochs: 10, reached: 10, ..run }.write(&runs);
            }
        }
    }
    let out = dir.path().join("out");
    let begun = Instant::now();
    let json = json(&[&runs], &["--out", out.to_str().unwrap()]);
    time(begun.elapsed());
    let last = cell(&json, "accuracy", 512, "gn");
    assert_eq!(last["n"], 250);
    near(&last["mean"], 0.6245);
    assert!(out.join("report.html").is_file());
}
