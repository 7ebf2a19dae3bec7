//! System limits and signals.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use libc::{SIGHUP, SIGINT, SIGTERM, c_int};

/// A run of `mlp` for that many epochs.
fn train(out: &Path, epochs: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.args(["train", "--model", "mlp", "--batch-size", "8", "--train-limit", "64", "--test-limit", "16"]);
    command.args(["--epochs", epochs, "--out"]).arg(out).env_remove("MBN_DATA_DIR").stderr(Stdio::piped());
    command
}

/// Starts `command` with `ignored` ignored and the other signals at their defaults, however the tests were started.
fn spawn(mut command: Command, ignored: c_int) -> Child {
    let set = move || {
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let action = if signal == ignored { libc::SIG_IGN } else { libc::SIG_DFL };
            // SAFETY: setting a disposition is allowed between fork and exec.
            unsafe { libc::signal(signal, action) };
        }
        Ok(())
    };
    // SAFETY: `set` allocates nothing and takes no lock.
    unsafe { command.pre_exec(set) };
    command.spawn().unwrap()
}

fn send(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Reads messages up to one with `part`.
#[track_caller]
fn wait_for(messages: &mut BufReader<ChildStderr>, part: &str) {
    let mut line = String::new();
    while !line.contains(part) {
        line.clear();
        assert!(messages.read_line(&mut line).unwrap() > 0, "it ended before `{part}`");
    }
}

#[test]
fn a_signal_ends_what_has_nothing_to_save_with_the_code_of_an_interruption() {
    for name in ["-HUP", "-INT", "-TERM"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
        command.args(["bench", "--models", "mlp", "--norms", "bn", "--batch-sizes", "2", "--seconds", "600"]);
        command.stdout(Stdio::piped());
        let mut child = spawn(command, 0);
        let mut header = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut header).unwrap();
        send(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for (ignored, name) in [(SIGHUP, "-HUP"), (SIGINT, "-INT")] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = spawn(train(dir.path(), "1000000"), ignored);
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        wait_for(&mut messages, "epoch 1/");
        send(&child, name);
        wait_for(&mut messages, "epoch 20/");
        send(&child, "-TERM");
        let mut rest = String::new();
        messages.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}: {rest}");
        assert!(rest.contains("interrupted after step"), "{rest}");
    }
}

#[test]
fn a_sweep_that_ignores_a_signal_has_runs_that_do() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[fixed]\nmodel = \"mlp\"\nbatch_size = 8\nepochs = 6\ntrain_limit = 640\ntest_limit = 16\n[grid]\nnorm = [\"bn\"]\n";
    std::fs::write(dir.path().join("s.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir.path()).args(["sweep", "s.toml", "--out", "out", "--threads", "1"]);
    command
        .args(["--checkpoint-every", "0.01"])
        .env_remove("MBN_DATA_DIR")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.process_group(0);
    let child = spawn(command, SIGHUP);
    let begun = || {
        let mut runs = std::fs::read_dir(dir.path().join("out/runs")).into_iter().flatten().flatten();
        runs.any(|run| run.path().join("last.safetensors").exists())
    };
    while !begun() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // To all processes, as at the end of a session.
    assert!(Command::new("kill").args(["-HUP", "--", &format!("-{}", child.id())]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The program under a limit of the shell's `ulimit`, such as `-v` and KiB of address space.
fn limited(limit: &str, args: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_mbn")]).args(args);
    command.env_remove("MBN_DATA_DIR").env_remove("RUST_BACKTRACE").output().unwrap()
}

#[track_caller]
fn fails(output: &Output, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{:?}: {message}", output.status);
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn threads_that_cannot_be_made_are_an_error() {
    let args = ["bench", "--models", "lenet", "--norms", "bn", "--batch-sizes", "2", "--seconds", "0"];
    fails(
        &limited("-v 2000000", &[&args[..], &["--threads", "3000"]].concat()),
        &["error: cannot start 3000 threads", "fewer"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn memory_that_cannot_be_had_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let args = ["train", "--model", "lenet", "--batch-size", "3000", "--epochs", "1", "--threads", "1", "--out", out];
    let output = limited("-v 300000", &args);
    fails(&output, &["error: out of memory", "a training step needs at least", "--batch-size"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("--jobs"), "`train` has no such option");
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_runs_out_of_memory_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("s.toml"), dir.path().join("out"));
    std::fs::write(&file, "[fixed]\nmodel = \"lenet\"\nbatch_size = 3000\nepochs = 1\n").unwrap();
    let args = ["sweep", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "--threads", "1"];
    let output = limited("-v 300000", &args);
    fails(&output, &["failed: out of memory", "1 run failed; --retry-failed"]);
    let rows = std::fs::read_to_string(out.join("summary.csv")).unwrap();
    assert!(rows.contains("failed") && rows.contains("out of memory"), "{rows}");
}

#[test]
fn a_file_that_may_not_grow_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let args =
        ["train", "--model", "mlp", "--epochs", "1", "--train-limit", "64", "--out", dir.path().to_str().unwrap()];
    fails(&limited("-f 16", &args), &["error: ", "File too large"]);
}
