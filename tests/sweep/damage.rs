//! Other failures: disks, permissions, damaged files, clocks.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{Folder, TINY, calm, contains, skip, text};

/// A sweep interrupted in the middle of a run, and that run's folder.
fn broken_off(sweep: &str) -> (Folder, std::path::PathBuf) {
    let folder = Folder::new(sweep);
    let mut child = folder.spawn(&["--checkpoint-every", "0.05"]);
    let run = loop {
        let run = folder.wait_for_checkpoint();
        // With a finished epoch, so that there are rows to damage.
        if fs::read_to_string(run.join("metrics.csv")).is_ok_and(|rows| rows.lines().count() > 2) {
            break run;
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    // Its worker saves and stops.
    while mbn::record::RunDir::is_busy(&run) {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(!run.join("summary.json").exists());
    (folder, run)
}

const LONGER: &str = r#"
[fixed]
model = "mlp"
batch_size = 8
epochs = 12
train_limit = 240
test_limit = 32
"#;

/// A kind of damage to the bytes of a file.
type Spoil = fn(&mut Vec<u8>);

#[test]
fn damaged_checkpoints_and_records_are_set_aside_and_the_run_starts_over() {
    let undisturbed = calm(LONGER);
    let damage: [(&str, Spoil); 3] = [
        ("last.safetensors", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }),
        ("last.safetensors", |bytes| bytes.truncate(bytes.len() / 3)),
        ("metrics.csv", |bytes| bytes.truncate(bytes.len() - 20)),
    ];
    for (name, spoil) in damage {
        let (folder, run) = broken_off(LONGER);
        let file = run.join(name);
        let mut bytes = fs::read(&file).unwrap();
        spoil(&mut bytes);
        fs::write(&file, &bytes).unwrap();
        let (_, err) = folder.ends(0, &[]);
        contains(&err, &[name, "set aside, the run starts over", "mbn, digits mlp, batch_size 8, lr 0.1, seed 1"]);
        assert!(fs::read(run.join(format!("{name}.damaged"))).unwrap() == bytes, "{name} is kept");
        assert_eq!(folder.results(), undisturbed);
    }
}

#[test]
fn half_written_run_folders_are_completed_and_finished_ones_left_alone() {
    let folder = Folder::new(TINY);
    folder.ends(0, &[]);
    let whole = folder.results();
    let runs = folder.runs();
    let kept = fs::read(runs[0].join("log.txt")).unwrap();
    // A summary cut off: the checkpoint still has everything.
    let summary = fs::read(runs[1].join("summary.json")).unwrap();
    fs::write(runs[1].join("summary.json"), &summary[..summary.len() / 2]).unwrap();
    // Only the lock; only half a configuration; no folder at all.
    fs::read_dir(&runs[2]).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    fs::remove_file(runs[3].join("summary.json")).unwrap();
    fs::remove_file(runs[3].join("last.safetensors")).unwrap();
    fs::write(runs[3].join("config.toml"), "dataset = \"dig").unwrap();
    let (_, err) = folder.ends(0, &["--jobs", "2"]);
    contains(&err, &["summary.json: not a summary", "resuming from the checkpoint"]);
    assert_eq!(folder.results(), whole);
    assert_eq!(fs::read(runs[0].join("log.txt")).unwrap(), kept);
    let log = fs::read_to_string(runs[1].join("log.txt")).unwrap();
    contains(&log, &["start at epoch 2 batch 0"]);
    fs::remove_dir_all(&runs[0]).unwrap();
    folder.ends(0, &[]);
    assert_eq!(folder.results(), whole);
}

#[test]
fn clocks_may_jump() {
    let (folder, run) = broken_off(LONGER);
    for (i, entry) in fs::read_dir(&run).unwrap().enumerate() {
        let file = File::options().write(true).open(entry.unwrap().path()).unwrap();
        let years = Duration::from_secs(365 * 86_400 * 40);
        let time = if i % 2 == 0 { SystemTime::now() + years } else { SystemTime::now() - years };
        file.set_times(FileTimes::new().set_modified(time).set_accessed(time)).unwrap();
    }
    folder.ends(0, &[]);
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert_eq!(log.matches("start at epoch 0 batch 0").count(), 1, "it was resumed: {log}");
    assert_eq!(folder.results(), calm(LONGER));
}

/// A small file system, unmounted at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], at).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

fn mount(args: &[&str], at: &Path) -> bool {
    Command::new("mount").args(args).arg(at).output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_stops_runs_with_a_message_and_loses_nothing() {
    let folder = Folder::new(TINY);
    let out = folder.out();
    // A checkpoint takes two megabytes, so the second run finds no room.
    let Some(_disk) = SmallDisk::mount(&out, "5m") else {
        return skip("a_full_disk: mounting a small file system is not permitted here");
    };
    let (stdout, err) = folder.ends(1, &[]);
    contains(&stdout, &["1 done, 3 failed"]);
    contains(&err, &["No space left on device", "last.safetensors", "--retry-failed"]);
    let first = folder.rows();
    assert!(first.iter().filter(|row| row["status"] == "done").count() == 1, "{first:?}");
    assert!(mount(&["-o", "remount,size=100m"], &out));
    let (stdout, _) = folder.ends(0, &["--retry-failed"]);
    contains(&stdout, &["4 done"]);
    assert_eq!(folder.results(), calm(TINY));
    assert_eq!(folder.rows()[0], first[0], "what was finished is as it was");
}

#[test]
fn a_disk_without_room_for_the_summary_is_said_before_the_first_run() {
    let folder = Folder::new(TINY);
    let out = folder.out();
    let Some(_disk) = SmallDisk::mount(&out, "64k") else {
        return skip("a_disk_without_room: mounting a small file system is not permitted here");
    };
    let mut fill = vec![0; 1 << 17];
    while !fill.is_empty() && fs::write(out.join("fill"), &fill).is_err() {
        fill.truncate(fill.len() / 2);
    }
    let (_, err) = folder.ends(1, &[]);
    contains(&err, &["out/", "No space left on device"]);
    assert!(folder.runs().is_empty());
}

/// Root may write anywhere, so the test runs as another user there.
#[cfg(unix)]
fn as_someone_else(command: &mut Command) -> bool {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.uid(65_534).gid(65_534);
    }
    command.output().is_ok()
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_named_before_the_first_run() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new(TINY);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut probe = folder.command(&["--dry-run"]);
    if !as_someone_else(&mut probe) || !probe.output().is_ok_and(|output| output.status.success()) {
        return skip("a_read_only_folder: the program cannot be run as another user here");
    }
    let mut command = folder.command(&[]);
    as_someone_else(&mut command);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    contains(&text(&output.stderr), &["out", "Permission denied"]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(!folder.out().exists());
}

#[test]
fn a_read_only_file_system_is_named_and_what_is_finished_can_be_read() {
    let folder = Folder::new(TINY);
    let out = folder.out();
    let Some(_disk) = SmallDisk::mount(&out, "50m") else {
        return skip("a_read_only_file_system: mounting a small file system is not permitted here");
    };
    folder.ends(0, &["--index", "1"]);
    assert!(mount(&["-o", "remount,ro"], &out));
    let (_, err) = folder.ends(1, &[]);
    contains(&err, &["out/", "Read-only file system"]);
    contains(&folder.ends(0, &["--dry-run"]).0, &["3 new, 1 done"]);
    let mut compare = Command::new(env!("CARGO_BIN_EXE_mbn"));
    let compare = compare.arg("compare").arg(&out).output().unwrap();
    assert!(compare.status.success(), "{}", text(&compare.stderr));
    assert!(mount(&["-o", "remount,rw"], &out));
    folder.ends(0, &[]);
    assert_eq!(folder.results(), calm(TINY));
}

#[cfg(unix)]
#[test]
fn a_run_folder_that_cannot_be_written_costs_no_other() {
    let folder = Folder::new(TINY);
    let (out, _) = folder.ends(0, &["--dry-run"]);
    let name = out.lines().nth(1).unwrap().split_whitespace().last().unwrap();
    // A file where the run's folder should be: root cannot write there either.
    fs::create_dir_all(folder.out().join("runs")).unwrap();
    let obstacle = folder.out().join("runs").join(name);
    fs::write(&obstacle, "").unwrap();
    let (out, err) = folder.ends(1, &["--jobs", "2"]);
    contains(&out, &["3 done, 1 failed"]);
    contains(&err, &["failed: ", name]);
    fs::remove_file(&obstacle).unwrap();
    folder.ends(0, &[]);
    assert_eq!(folder.results(), calm(TINY));
}
