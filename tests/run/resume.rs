//! Runs that are killed, interrupted, resumed, or use several threads: bitwise the same results.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::{SMALL, mbn, numbers, only_run, records, run_file, succeed};

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
        // Every other process reaches a new checkpoint first, so that the run makes progress; the others are killed at any
        // point after the start of the program.
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
    // The only checkpoint is the one made on interruption.
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
