//! Runs through the built program: interrupted, resumed, repeated, diverged, evaluated.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A small run with everything a checkpoint has to carry: memories, momentum, Double-Forward, micro-batches,
/// augmentation, a validation split, diagnostics.
const SMALL: &[&str] = &[
    "train",
    "--dataset",
    "digits",
    "--model",
    "mlp",
    "--norm",
    "mbn",
    "--double-forward",
    "--batch-size",
    "8",
    "--norm-batch-size",
    "4",
    "--epochs",
    "3",
    "--val-fraction",
    "0.5",
    "--train-limit",
    "1200",
    "--augment",
    "--freeze-epochs",
    "1",
    "--diagnostics",
    "--precise",
    "--weighing",
    "--evalnorm",
    "--set",
    "test_limit=300",
    "--set",
    "diagnostics_every=40",
    "--set",
    "precise_examples=200",
    "--schedule",
    "cosine",
    "--checkpoint-every",
    "0.02",
];

fn mbn(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir).args(args).stdin(Stdio::null()).env_remove("MBN_DATA_DIR");
    command
}

fn output(dir: &Path, args: &[&str]) -> Output {
    mbn(dir, args).output().unwrap()
}

#[track_caller]
fn succeed(dir: &Path, args: &[&str]) -> String {
    let out = output(dir, args);
    assert!(out.status.success(), "{args:?}: {:?}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn only_run(dir: &Path) -> PathBuf {
    let runs: Vec<_> = std::fs::read_dir(dir.join("results/runs")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

/// A file of the only run, as soon as there is one.
fn run_file(dir: &Path, name: &str) -> Option<PathBuf> {
    let run = std::fs::read_dir(dir.join("results/runs")).ok()?.next()?.ok()?;
    Some(run.path().join(name))
}

/// A CSV without its time columns.
fn numbers(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let timed = |i: usize| matches!(&header[i], "images_per_s" | "seconds");
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        row.iter().enumerate().filter(|(i, _)| !timed(*i)).map(|(_, cell)| cell.to_string()).collect()
    });
    rows.collect()
}

fn records(dir: &Path) -> [Vec<Vec<String>>; 2] {
    let run = only_run(dir);
    [numbers(&run.join("metrics.csv")), numbers(&run.join("diagnostics.csv"))]
}

fn wait(child: &mut Child, limit: Duration) -> Option<i32> {
    let step = Duration::from_millis(2);
    let mut waited = Duration::ZERO;
    while waited < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code().unwrap_or(-1));
        }
        sleep(step);
        waited += step;
    }
    None
}

#[test]
fn a_run_killed_at_arbitrary_points_ends_with_the_bits_of_an_undisturbed_one() {
    kill_and_compare(SMALL, 12);
}

#[test]
fn so_does_one_with_another_optimizer() {
    kill_and_compare(&[SMALL, &["--optimizer", "adamw", "--weight-decay", "0.1"]].concat(), 4);
}

fn kill_and_compare(args: &[&str], attempts: usize) {
    let (calm, rough) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    succeed(calm.path(), args);
    let mut stream = mbn::rng::stream(5, "kills");
    for attempt in 0..attempts {
        let mut child = mbn(rough.path(), args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Every other process reaches a new checkpoint first, so that the run gets somewhere; the rest die at any point
        // from the start of the program on.
        let last = || run_file(rough.path(), "last.safetensors").and_then(|p| p.metadata().ok()?.modified().ok());
        let before = last();
        while attempt % 2 == 0 && last() == before && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_micros(stream.below(80_000) as u64));
        assert!(child.try_wait().unwrap().is_none(), "attempt {attempt} was over before it was killed");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    succeed(rough.path(), args);
    let [metrics, diagnostics] = records(calm.path());
    assert_eq!(metrics.len(), 3 * 7, "per epoch: train, val, and test under five kinds of statistics");
    assert!(diagnostics.len() > 3 * 2);
    assert_eq!(records(rough.path()), [metrics, diagnostics]);
    let weights = |dir: &Path| {
        let bytes = std::fs::read(only_run(dir).join("last.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut all: Vec<_> = tensors.tensors().into_iter().map(|(n, t)| (n, t.data().to_vec())).collect();
        all.sort();
        all
    };
    assert!(weights(calm.path()) == weights(rough.path()), "weights differ");
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let results: Vec<_> = ["1", "2", "3"]
        .iter()
        .map(|threads| {
            let dir = tempfile::tempdir().unwrap();
            let args =
                ["--norm", "mbn", "--double-forward", "--batch-size", "16", "--epochs", "1", "--threads", threads];
            let small =
                ["--train-limit", "480", "--set", "test_limit=200", "--dataset", "shapes", "--model", "resnet8"];
            succeed(dir.path(), &[&["train"], &args[..], &small[..]].concat());
            numbers(&only_run(dir.path()).join("metrics.csv"))
        })
        .collect();
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[test]
fn the_first_interrupt_saves_and_the_next_call_goes_on() {
    let (calm, rough) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut args = SMALL.to_vec();
    // No checkpoint but the one the interrupt makes.
    *args.last_mut().unwrap() = "3600";
    let begun = std::time::Instant::now();
    succeed(calm.path(), &args);
    let whole = begun.elapsed();
    let mut child = mbn(rough.path(), &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(whole.mul_f64(0.15));
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(wait(&mut child, Duration::from_secs(60)), Some(130));
    assert!(only_run(rough.path()).join("last.safetensors").exists());
    args.push("--resume");
    succeed(rough.path(), &args);
    assert_eq!(records(rough.path()), records(calm.path()));
}

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

#[test]
fn parts_without_an_image_are_refused_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&["--val-fraction", "0.00001"][..], "val_fraction = 0.00001"),
        (&["--diagnostics", "--train-limit", "1", "--batch-size", "1", "--norm", "mbn"], "single training image"),
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
