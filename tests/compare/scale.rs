//! A thousand runs of a hundred epochs.

use std::time::{Duration, Instant};

use super::support::{cell, compare, json, near, Fake};

#[test]
fn a_thousand_runs_take_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    for norm in ["bn", "mbn", "gn", "none"] {
        for batch in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
            for seed in 0..25 {
                let run = Fake::new(norm, batch, seed, 0.5 + 0.001 * seed as f64);
                Fake { epochs: 100, reached: 100, ..run }.write(&runs);
            }
        }
    }
    let out = dir.path().join("out");
    let begun = Instant::now();
    let said = compare(&[&runs], &["--out", out.to_str().unwrap()]);
    let took = begun.elapsed();
    assert_eq!((said.code, said.row("512", "gn")[5].as_str()), (Some(0), "25"), "{}", said.err);
    // 0.6 s on a quiet machine of two cores; the bound is for one that does other things, too.
    assert!(took < Duration::from_secs(10), "{took:?}");
    println!("1000 runs of 100 epochs: {took:?}");
    near(&cell(&json(&[&runs], &[]), "accuracy", 1, "none")["mean"], 0.512);
}
