//! Sweeps through the program: done, continued, shared, interrupted.

#[cfg(unix)]
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Folder, TINY, calm, contains, text};

#[test]
fn a_sweep_does_its_runs_writes_a_row_for_each_and_does_nothing_twice() {
    let folder = Folder::new(TINY);
    let (out, err) = folder.ends(0, &["--jobs", "2"]);
    contains(&out, &["4 runs: 4 done", "out/summary.csv"]);
    contains(&err, &["[4/4]", "mine, digits mlp, batch_size 8, lr 0.1, seed 2", "test "]);
    assert!(!err.contains('\u{1b}') && !err.contains('\r'), "no bars where there is no terminal: {err}");
    let rows = folder.rows();
    let labels: Vec<(&str, &str)> = rows.iter().map(|row| (row["label"].as_str(), row["seed"].as_str())).collect();
    assert_eq!(labels, [("bn", "1"), ("mine", "1"), ("bn", "2"), ("mine", "2")]);
    for row in &rows {
        assert_eq!((row["status"].as_str(), row["dataset"].as_str()), ("done", "digits"));
        for full in
            ["train_loss", "train_accuracy", "test_loss", "test_accuracy", "test_batch_accuracy", "gap", "version"]
        {
            assert!(!row[full].is_empty(), "{full}");
        }
        for empty in ["val_loss", "val_accuracy", "test_precise_loss", "shift", "reason"] {
            assert_eq!(row[empty], "", "{empty}");
        }
        assert_eq!(row["mbn.size"].is_empty(), row["norm"] == "bn");
        assert_eq!(row["bn.momentum"].is_empty(), row["norm"] == "mbn");
    }
    let header = std::fs::read_to_string(folder.out().join("summary.csv")).unwrap();
    assert!(header.starts_with("run,label,dataset,model,norm,double_forward,batch_size,norm_batch_size,seed,"));
    let logs = || folder.runs().iter().map(|run| std::fs::read(run.join("log.txt")).unwrap()).collect::<Vec<_>>();
    let before = logs();
    let (out, err) = folder.ends(0, &[]);
    contains(&out, &["4 done"]);
    assert_eq!((err.as_str(), before), ("", logs()));
}

#[test]
fn a_dry_run_says_what_there_is_to_do_and_touches_nothing() {
    let folder = Folder::new(TINY);
    let (out, _) = folder.ends(0, &["--dry-run"]);
    contains(&out, &["4 runs: 4 new, 0 done, 0 failed", "not known", "digits-mlp-mbn-df-b8-s2-"]);
    assert!(!folder.out().exists());
    folder.ends(0, &["--index", "3"]);
    assert_eq!(folder.runs().len(), 1);
    let (out, _) = folder.ends(0, &["--dry-run"]);
    contains(&out, &["4 runs: 3 new, 1 done, 0 failed", "expected time: about"]);
}

#[test]
fn a_dry_run_tells_runs_apart() {
    let folder = Folder::new("[fixed]\nmodel = \"mlp\"\n[grid]\nmbn.size = [2, 4]\nlr = [0.1, 0.2]\n");
    let (out, _) = folder.ends(0, &["--dry-run"]);
    let lines: Vec<&str> = out.lines().skip(1).take(4).collect();
    for (line, size) in lines.iter().zip([2, 2, 4, 4]) {
        assert!(line.contains(&format!("mbn mbn.size={size} ")) && !line.contains("lr="), "{out}");
    }
}

#[test]
fn an_index_or_a_shard_does_its_part_and_the_parts_make_the_whole() {
    let folder = Folder::new(TINY);
    let (out, _) = folder.ends(0, &["--shard", "1/2"]);
    contains(&out, &["2 runs: 2 done"]);
    let seeds: Vec<String> = folder.rows().iter().map(|row| row["label"].clone()).collect();
    assert_eq!(seeds, ["bn", "bn"], "every second run");
    folder.ends(0, &["--index", "2"]);
    folder.ends(0, &["--index", "4"]);
    assert_eq!(folder.results(), calm(TINY));
    let (_, err) = folder.ends(2, &["--index", "5"]);
    contains(&err, &["--index 5", "1 to 4"]);
    folder.ends(2, &["--shard", "3/2"]);
}

#[test]
fn the_summary_is_rebuilt_from_the_folders_at_any_time() {
    let folder = Folder::new(TINY);
    let (_, err) = folder.ends(2, &["--collect"]);
    contains(&err, &["no sweep"]);
    folder.ends(0, &[]);
    let whole = folder.rows();
    let file = folder.out().join("summary.csv");
    for torn in [vec![], std::fs::read(&file).unwrap()[..300].to_vec(), b"\0\xff\n".to_vec()] {
        std::fs::write(&file, torn).unwrap();
        let (out, _) = folder.ends(0, &["--collect"]);
        contains(&out, &["4 of 4 runs"]);
        assert_eq!(folder.rows(), whole);
    }
}

#[test]
fn a_wrong_file_ends_with_code_2_before_anything_is_written() {
    for (sweep, part) in [("seds = 2", "seeds"), ("[fixed]\nnorm = \"bn\"\nbatch_size = 1", "one value per channel")] {
        let folder = Folder::new(sweep);
        let (_, err) = folder.ends(2, &[]);
        contains(&err, &["s.toml", part].map(|p| if p == "s.toml" && part != "seeds" { "[[exclude]]" } else { p }));
        assert!(!folder.out().exists());
    }
    let folder = Folder::new("[fixed]\ndataset = \"mnist\"");
    let output = folder.command(&[]).env("HF_HUB_OFFLINE", "1").env("MBN_CACHE_DIR", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    contains(&text(&output.stderr), &["mnist", "--data-dir"]);
}

#[test]
fn a_diverged_run_is_a_result_and_costs_no_other() {
    let folder = Folder::new(&format!("{TINY}\n[[variant]]\nlabel = \"wild\"\nnorm = \"none\"\nlr = 1e30\n"));
    let (out, err) = folder.ends(0, &["--jobs", "2"]);
    contains(&out, &["6 runs: 4 done, 2 diverged"]);
    contains(&err, &["wild", "diverged at step"]);
    let rows = folder.rows();
    let wild: Vec<_> = rows.iter().filter(|row| row["label"] == "wild").collect();
    assert_eq!(wild.len(), 2);
    assert!(wild.iter().all(|row| row["status"] == "diverged" && row["test_accuracy"].is_empty()), "{wild:?}");
    assert!(wild.iter().all(|row| row["reason"].starts_with("step ")), "{wild:?}");
    let (_, err) = folder.ends(0, &[]);
    assert_eq!(err, "", "it is not repeated");
}

#[test]
fn a_failed_run_is_recorded_costs_no_other_and_is_repeated_on_request() {
    let folder = Folder::new(TINY);
    let (out, _) = folder.ends(0, &["--dry-run"]);
    let name = out.lines().nth(2).unwrap().split_whitespace().last().unwrap();
    // A folder where a file should be: the run cannot write its rows.
    let obstacle = folder.out().join("runs").join(name).join("metrics.csv");
    std::fs::create_dir_all(&obstacle).unwrap();
    let (out, err) = folder.ends(1, &["--jobs", "2"]);
    contains(&out, &["3 done, 1 failed"]);
    contains(&err, &["failed: ", "metrics.csv", "1 run failed; --retry-failed repeats"]);
    let rows = folder.rows();
    assert_eq!((rows.len(), rows[1]["status"].as_str()), (4, "failed"));
    assert!(rows[1]["reason"].contains("metrics.csv") && rows[1]["test_accuracy"].is_empty(), "{:?}", rows[1]);
    let (out, err) = folder.ends(1, &[]);
    contains(&out, &["3 done, 1 failed"]);
    assert!(!err.contains("failed: "), "it is not repeated: {err}");
    let (_, err) = folder.ends(1, &["--retry-failed"]);
    contains(&err, &["failed: "]);
    std::fs::remove_dir(&obstacle).unwrap();
    folder.ends(0, &["--retry-failed"]);
    assert_eq!(folder.results(), calm(TINY));
}

#[test]
fn sweeps_in_one_folder_share_the_runs() {
    let sweep = TINY.replace("seeds = 2", "seeds = 4");
    let folder = Folder::new(&sweep);
    let all = ["1", "2", "1"].map(|jobs| {
        let mut command = folder.command(&["--jobs", jobs]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for child in all {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    assert_eq!(folder.runs().len(), 8);
    for run in folder.runs() {
        let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
        assert_eq!(log.matches("start at epoch").count(), 1, "{}: {log}", run.display());
    }
    assert_eq!(folder.results(), calm(&sweep));
}

/// Two runs that take long enough to be interrupted.
const LONG: &str = r#"
seeds = 2
[fixed]
model = "mlp"
batch_size = 8
epochs = 3
train_limit = 1200
test_limit = 32
"#;

#[cfg(unix)]
#[test]
fn an_interrupted_sweep_saves_its_runs_and_the_next_call_goes_on() {
    for signal in ["-INT", "-TERM"] {
        let folder = Folder::new(LONG);
        let mut command = folder.command(&["--jobs", "2", "--checkpoint-every", "0.01"]);
        // Shells ignore it for what they run in the background, and what is ignored at the start stays ignored.
        // SAFETY: setting a disposition is allowed between fork and exec.
        let set = || match unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) } {
            libc::SIG_ERR => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        };
        // SAFETY: `set` allocates nothing and takes no lock.
        unsafe { command.pre_exec(set) };
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let run = folder.wait_for_checkpoint();
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal}");
        let err = text(&output.stderr);
        contains(&err, &["the running jobs finish their step", "stopped, saved", "the same command continues"]);
        assert_eq!(err.matches("the running jobs finish").count(), 1, "{err}");
        // The sweep has waited for its runs: no process is left.
        assert!(!mbn::record::RunDir::is_busy(&run));
        let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
        contains(&log, &["interrupted after step"]);
        let (out, _) = folder.ends(0, &["--dry-run"]);
        contains(&out, &["interrupted"]);
        folder.ends(0, &["--jobs", "2"]);
        let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
        assert_eq!(log.matches("start at epoch 0 batch 0").count(), 1, "{log}");
        assert_eq!(folder.results(), calm(LONG));
    }
}

#[test]
fn a_run_that_is_done_elsewhere_is_waited_for_and_taken_over_if_it_is_given_up() {
    let folder = Folder::new(TINY);
    let (out, _) = folder.ends(0, &["--dry-run"]);
    let name = out.lines().nth(1).unwrap().split_whitespace().last().unwrap();
    let held = mbn::record::RunDir::create(folder.out().join("runs").join(name)).unwrap();
    let mut child = folder.spawn(&["--jobs", "2"]);
    let begun = std::time::Instant::now();
    while folder.runs().iter().filter(|run| run.join("summary.json").exists()).count() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let (out, _) = folder.ends(0, &["--dry-run"]);
    contains(&out, &["1 running"]);
    assert!(child.try_wait().unwrap().is_none(), "it waits for the run that is done elsewhere");
    drop(held);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(folder.results(), calm(TINY));
}
