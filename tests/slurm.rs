//! The array job on a real Slurm of one node. Skipped, with a message, where there is none and none may be installed.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

/// Runs long enough to be interrupted, in a sweep short enough for a test.
const SWEEP: &str = r#"
seeds = 2
[fixed]
model = "mlp"
batch_size = 8
epochs = 40
train_limit = 400
test_limit = 32
[[variant]]
norm = "bn"
[[variant]]
norm = "mbn"
"#;

/// What a user types, with a requeue of either kind in between: by the job itself, warned that its time is nearly up,
/// and by the administrator. The trace says what happened.
const SESSION: &str = r#"
set -eu
trap 'tail -n +1 ./*.out' EXIT
checkpoint() { # waits until a run of the normalizer is under way
    for _ in $(seq 600); do
        for run in out/runs/digits-mlp-"$1"-*/; do
            [ -e "$run/last.safetensors" ] && [ ! -e "$run/summary.json" ] && return
        done
        sleep 0.1
    done
    echo "no run of $1 came to a checkpoint"; exit 1
}
finished() { # waits until every run is over
    for _ in $(seq 80); do
        [ "$(ls out/runs/*/summary.json 2>/dev/null | wc -l)" = 4 ] && return
        # A requeued job waits two minutes by default; who is in a hurry releases it, but not within the second in which
        # the node has revoked its credential.
        waiting=$(squeue -h -r -t PD -o %i)
        sleep 1.5
        for task in $waiting; do scontrol update JobId="$task" StartTime=now >/dev/null 2>&1 || true; done
    done
    squeue; echo "the job does not end"; exit 1
}
job=$(sbatch --parsable --array=1-2 --cpus-per-task=1 "$SBATCH" s.toml --out out --checkpoint-every 0.1)
checkpoint bn # the first task's
scancel --signal=USR1 --batch "${job}_1"
checkpoint mbn # the second's
scontrol requeue "${job}_2"
finished
"$MBN" sweep s.toml --out out --collect
"#;

fn mbn(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mbn")).current_dir(dir).args(args).output().unwrap()
}

/// The rows of a summary, without times and memory.
fn results(dir: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(dir.join("out/summary.csv")).unwrap();
    let mut rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    for row in &mut rows {
        for column in ["seconds", "images_per_s", "peak_memory_mib", "threads"] {
            row.remove(column).unwrap();
        }
    }
    rows
}

#[test]
fn an_array_job_is_submitted_requeued_resumed_and_collected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), SWEEP).unwrap();
    let mut command = Command::new(root.join("scripts/slurm/one-node.sh"));
    if std::env::var_os("MBN_SLURM_INSTALL").is_some() {
        command.arg("--install");
    }
    command.current_dir(dir.path()).args(["bash", "-c", SESSION]);
    command.env("MBN", env!("CARGO_BIN_EXE_mbn")).env("SBATCH", root.join("scripts/slurm/sweep.sbatch"));
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) {
        // Directly to stderr, which the test runner would capture otherwise.
        let _ = write!(std::io::stderr(), "{err}");
        return;
    }
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("4 of 4 runs"), "{out}\n{err}");
    assert!(out.contains("interrupted, all runs are saved"), "a task was warned and saved its run: {out}\n{err}");

    let calm = tempfile::tempdir().unwrap();
    std::fs::write(calm.path().join("s.toml"), SWEEP).unwrap();
    assert!(mbn(calm.path(), &["sweep", "s.toml", "--out", "out", "--jobs", "2"]).status.success());
    assert_eq!(results(dir.path()), results(calm.path()));
    let logs = std::fs::read_dir(dir.path().join("out/runs")).unwrap();
    let logs = logs.map(|run| std::fs::read_to_string(run.unwrap().path().join("log.txt")).unwrap());
    let begun: Vec<usize> = logs.map(|log| log.matches("start at epoch").count()).collect();
    assert!(begun.iter().any(|times| *times > 1), "a run was resumed: {begun:?}");
}
