//! Runs that cannot start or resume: damaged files, missing images, missing devices.

use crate::support::{only_run, output, succeed};

#[test]
fn parts_without_an_image_are_refused_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&["--val-fraction", "0.00001"][..], "val_fraction = 0.00001"),
        (&["--diagnostics", "--train-limit", "1", "--batch-size", "1", "--norm", "mbn"], "at least 2 training images"),
        (&["--train-limit", "1", "--batch-size", "2"], "only 1 training image (val_fraction"),
        (&["--precise", "--set", "precise_examples=1"], "precise_examples = 1"),
    ] {
        let out = output(dir.path(), &[&["train"], args].concat());
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{stderr}");
        assert!(!dir.path().join("results").exists(), "nothing is left behind");
    }
}

#[test]
fn a_damaged_checkpoint_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["train", "--model", "mlp", "--train-limit", "320", "--epochs", "1", "--set", "test_limit=100"];
    succeed(dir.path(), &args);
    let run = only_run(dir.path());
    let last = run.join("last.safetensors");
    let good = std::fs::read(&last).unwrap();
    std::fs::remove_file(run.join("summary.json")).unwrap();
    let mut stream = mbn::rng::stream(9, "damage");
    for trial in 0..40 {
        let mut bad = good.clone();
        match trial % 4 {
            0 => bad.truncate(stream.below(good.len())),
            1 => (0..1 + stream.below(20)).for_each(|_| {
                let at = stream.below(bad.len());
                bad[at] ^= 1 << stream.below(8);
            }),
            2 => bad[..8].copy_from_slice(&(u64::MAX >> stream.below(40)).to_le_bytes()),
            _ => bad.extend_from_slice(&[0; 7]),
        }
        std::fs::write(&last, &bad).unwrap();
        for args in [&args[..], &["eval", run.to_str().unwrap()]] {
            let out = output(dir.path(), args);
            let stderr = String::from_utf8_lossy(&out.stderr);
            assert_eq!(out.status.code(), Some(1), "trial {trial} {args:?}: {stderr}");
            assert!(stderr.contains("last.safetensors"), "{stderr}");
        }
        assert!(std::fs::read(&last).unwrap() == bad, "trial {trial}: the file was overwritten");
    }
    std::fs::write(&last, &good).unwrap();
    succeed(dir.path(), &args);
    // Eval names a tensor that is missing or of another shape.
    let out = output(dir.path(), &["eval", run.to_str().unwrap(), "--model", "lenet"]);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("conv1.weight"), "{stderr}");
}

#[test]
fn a_missing_gpu_is_a_clear_error() {
    if cfg!(feature = "cuda") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = output(dir.path(), &["train", "--device", "cuda"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("--features cuda"));
    assert!(!dir.path().join("results").exists(), "nothing is left behind");
}
