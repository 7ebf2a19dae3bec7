//! Processes killed at random moments.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Folder, calm};

/// Eight runs of a second or so, with everything a checkpoint has to carry.
const SWEEP: &str = r#"
seeds = 4
[fixed]
model = "mlp"
batch_size = 8
norm_batch_size = 4
epochs = 3
val_fraction = 0.5
train_limit = 400
test_limit = 200
augment = true
diagnostics = true
diagnostics_every = 40
precise_examples = 200
[[variant]]
norm = "bn"
[[variant]]
norm = "mbn"
double_forward = true
"#;

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // After the name in brackets: state, parent.
        let found = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        found == Some(parent)
    };
    ids.filter(is_child).collect()
}

fn kill(id: u32) {
    // It may have ended by itself in the meantime.
    let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
}

/// Kills a sweep and its workers at random until `kills` are done or all runs are; returns how many workers and sweeps.
fn disturb(folder: &Folder, stream: &mut mbn::rng::Stream, kills: usize) -> (usize, usize) {
    let mut sweep: Option<Child> = None;
    let is_over = || folder.runs().iter().filter(|run| run.join("summary.json").exists()).count() == 8;
    let (mut workers, mut sweeps) = (0, 0);
    while workers + sweeps < kills && !is_over() {
        let running = sweep.take().and_then(|mut child| child.try_wait().unwrap().is_none().then_some(child));
        let mut child = running.unwrap_or_else(|| folder.spawn(&["--jobs", "2", "--checkpoint-every", "0.02"]));
        let at_worker = stream.coin();
        while at_worker && children(child.id()).is_empty() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(stream.below(150) as u64));
        match children(child.id()).first() {
            Some(&worker) if at_worker => {
                kill(worker);
                workers += 1;
                sweep = Some(child);
            }
            _ => {
                child.kill().unwrap();
                child.wait().unwrap();
                sweeps += 1;
            }
        }
    }
    if let Some(mut child) = sweep {
        assert!(matches!(child.wait().unwrap().code(), Some(0 | 1)));
    }
    (workers, sweeps)
}

#[test]
fn sweeps_and_workers_killed_twenty_times_end_with_the_summary_of_an_undisturbed_sweep() {
    let mut stream = mbn::rng::stream(11, "kills");
    let (mut workers, mut sweeps) = (0, 0);
    // On a fast machine, a sweep may finish before that; then another one is started.
    while workers + sweeps < 20 {
        let folder = Folder::new(SWEEP);
        let (more_workers, more_sweeps) = disturb(&folder, &mut stream, 20 - workers - sweeps);
        (workers, sweeps) = (workers + more_workers, sweeps + more_sweeps);
        folder.ends(0, &["--jobs", "2"]);
        assert_eq!(folder.results(), calm(SWEEP));
        for run in folder.runs() {
            let left = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let odd: Vec<String> = left.filter(|name| name.ends_with(".part") || name.ends_with(".damaged")).collect();
            assert!(odd.is_empty(), "{}: {odd:?}", run.display());
        }
    }
    assert!(workers >= 3 && sweeps >= 3, "{workers} workers, {sweeps} sweeps");
}

#[test]
fn workers_of_a_killed_sweep_save_and_stop() {
    let folder = Folder::new(&SWEEP.replace("train_limit = 400", "train_limit = 20000"));
    let mut child = folder.spawn(&["--jobs", "2", "--checkpoint-every", "0.02"]);
    let run = folder.wait_for_checkpoint();
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..1000 {
        if !folder.runs().iter().any(mbn::record::RunDir::is_busy) {
            let log = fs::read_to_string(run.join("log.txt")).unwrap();
            assert!(log.contains("interrupted after step"), "{log}");
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("workers go on without their sweep");
}
