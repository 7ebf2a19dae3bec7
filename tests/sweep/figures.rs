//! Speed: what must hold everywhere, and what only an idle machine can show (`cargo test --release -- --ignored`).

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Folder, contains};

#[test]
fn ten_thousand_run_folders_are_listed_and_summed_up() {
    ten_thousand(|_, _| {});
}

#[test]
#[ignore = "needs an idle core"]
fn ten_thousand_run_folders_take_seconds() {
    ten_thousand(|args, took| {
        eprintln!("{args:?}: {took:?}");
        assert!(took < Duration::from_secs(5), "{args:?}: {took:?}");
    });
}

/// Lists, skips and summarizes a sweep of 10 000 finished runs; `time` receives the duration of each call.
fn ten_thousand(time: impl Fn(&[&str], Duration)) {
    let folder = Folder::new(
        "seeds = 5\n[fixed]\nmodel = \"mlp\"\nepochs = 1\ntrain_limit = 8\ntest_limit = 8\nbatch_size = 8\n\
         [grid]\nweight_decay = [LIST]\n"
            .replace("LIST", &(1..=2000).map(|i| format!("{i}e-6")).collect::<Vec<_>>().join(", "))
            .as_str(),
    );
    folder.ends(0, &["--index", "1"]);
    let run = folder.runs()[0].clone();
    let own = run.file_name().unwrap().to_str().unwrap();
    let summary = fs::read_to_string(run.join("summary.json")).unwrap();
    let timed = |args: &[&str]| {
        let begun = Instant::now();
        let (out, _) = folder.ends(0, args);
        time(args, begun.elapsed());
        out
    };
    let listed = timed(&["--dry-run"]);
    contains(&listed, &["10000 runs: 9999 new, 1 done"]);
    for line in listed.lines().skip(1).filter(|line| line.contains(" new ")) {
        let name = line.split_whitespace().last().unwrap();
        let dir = folder.out().join("runs").join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("summary.json"), summary.replace(own, name)).unwrap();
    }
    contains(&timed(&["--dry-run"]), &["10000 runs: 0 new, 10000 done"]);
    contains(&timed(&[]), &["10000 runs: 10000 done"]);
    contains(&timed(&["--collect"]), &["10000 of 10000 runs"]);
    assert_eq!(folder.rows().len(), 10_000);
}

/// Runs of the same length on one thread each.
const EQUAL: &str = r#"
seeds = 8
[fixed]
model = "mlp"
batch_size = 8
epochs = 2
train_limit = 8000
test_limit = 100
"#;

fn seconds(folder: &Folder, args: &[&str]) -> f64 {
    let begun = Instant::now();
    folder.ends(0, args);
    begun.elapsed().as_secs_f64()
}

#[test]
#[ignore = "needs two idle cores"]
fn two_jobs_take_half_the_time_of_one() {
    let one = seconds(&Folder::new(EQUAL), &["--jobs", "1"]);
    let two = seconds(&Folder::new(EQUAL), &["--jobs", "2"]);
    eprintln!("one job {one:.2} s, two jobs {two:.2} s: {:.3}", two / one);
    assert!(two <= 0.55 * one, "one job {one:.2} s, two jobs {two:.2} s");
}

#[test]
#[ignore = "needs an idle core"]
fn a_sweep_adds_less_than_50_ms_to_a_run() {
    let folder = Folder::new(&EQUAL.replace("seeds = 8", "seeds = 40").replace("8000", "64"));
    let whole = seconds(&folder, &[]);
    let names: Vec<String> = folder.rows().iter().map(|row| row["run"].clone()).collect();
    let begun = Instant::now();
    for name in &names {
        let config = folder.out().join("runs").join(name).join("config.toml");
        let mut train = std::process::Command::new(env!("CARGO_BIN_EXE_mbn"));
        train.current_dir(folder.path()).args(["train", "--quiet", "--threads", "1", "--config"]).arg(config);
        assert!(train.output().unwrap().status.success());
    }
    let overhead = (whole - begun.elapsed().as_secs_f64()) / names.len() as f64;
    eprintln!("overhead {:.1} ms per run", 1e3 * overhead);
    assert!(overhead < 0.05, "{overhead} s");
}
