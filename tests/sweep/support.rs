//! Small sweeps and their results.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mbn::sweep::{Job, Sweep};

/// Four runs of a fraction of a second.
pub const TINY: &str = r#"
seeds = 2
[fixed]
model = "mlp"
batch_size = 8
epochs = 2
train_limit = 64
test_limit = 32
[[variant]]
norm = "bn"
[[variant]]
label = "mine"
norm = "mbn"
double_forward = true
"#;

/// The rows of a summary, by column.
pub type Rows = Vec<BTreeMap<String, String>>;

/// A folder with a sweep file in it.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("s.toml"), text).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// `mbn sweep s.toml --out out --threads 1 ARGS`, in this folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
        command.current_dir(self.path()).args(["sweep", "s.toml", "--out", "out", "--threads", "1"]).args(args);
        command.stdin(Stdio::null()).env_remove("MBN_DATA_DIR");
        command
    }

    pub fn sweep(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// A sweep that ends with that exit code; stdout and stderr.
    #[track_caller]
    pub fn ends(&self, code: i32, args: &[&str]) -> (String, String) {
        let output = self.sweep(args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    /// The run folders, sorted.
    pub fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.out().join("runs")) else { return vec![] };
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        runs
    }

    /// The rows of summary.csv by column.
    pub fn rows(&self) -> Rows {
        csv::Reader::from_path(self.out().join("summary.csv")).unwrap().deserialize().map(Result::unwrap).collect()
    }

    /// summary.csv, line by line and cell by cell, without times and memory.
    pub fn results(&self) -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_path(self.out().join("summary.csv")).unwrap();
        let header = reader.headers().unwrap().clone();
        let varying = ["seconds", "images_per_s", "peak_memory_mib"].map(|name| header.iter().position(|h| h == name));
        let steady = |line: &csv::StringRecord| {
            assert!(varying.iter().all(|column| !line[column.unwrap()].is_empty()), "{line:?}");
            let cells = line.iter().enumerate().filter(|(i, _)| !varying.contains(&Some(*i)));
            cells.map(|(_, cell)| cell.to_string()).collect()
        };
        std::iter::once(header.clone()).chain(reader.records().map(Result::unwrap)).map(|line| steady(&line)).collect()
    }

    /// Waits until a run has a checkpoint but no summary.
    pub fn wait_for_checkpoint(&self) -> PathBuf {
        let begun = Instant::now();
        loop {
            let open = |run: &&PathBuf| run.join("last.safetensors").exists() && !run.join("summary.json").exists();
            if let Some(run) = self.runs().iter().find(open) {
                return run.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no run came to a checkpoint");
            sleep(Duration::from_millis(2));
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The result of an undisturbed sweep of that file, made once for all tests.
pub fn calm(text: &str) -> Vec<Vec<String>> {
    static DONE: Mutex<BTreeMap<String, Vec<Vec<String>>>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sweep = || {
        let folder = Folder::new(text);
        folder.ends(0, &["--jobs", "2"]);
        folder.results()
    };
    done.entry(text.to_string()).or_insert_with(sweep).clone()
}

/// The runs of a sweep file with this text.
pub fn jobs(text: &str) -> Vec<Job> {
    Sweep::parse("s.toml", text).unwrap().jobs
}

/// A text that is refused as a sweep file, with these parts in the message.
#[track_caller]
pub fn refused(text: &str, parts: &[&str]) {
    let error = Sweep::parse("s.toml", text).unwrap_err();
    assert!(error.is_usage());
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{text}\n`{part}` is not in: {message}");
    }
}

#[track_caller]
pub fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Says that a test was skipped, directly to stderr, which the test runner would capture otherwise.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
