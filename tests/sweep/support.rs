//! Small sweeps and what they leave behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

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

    /// summary.csv without what depends on the machine's mood.
    pub fn results(&self) -> Rows {
        let mut rows = self.rows();
        for row in &mut rows {
            for column in ["seconds", "images_per_s", "peak_memory_mib", "threads"] {
                assert!(!row.remove(column).unwrap().is_empty(), "{column}");
            }
        }
        rows
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

/// What an undisturbed sweep of that file ends with; each is done once for all tests.
pub fn calm(text: &str) -> Rows {
    static DONE: Mutex<BTreeMap<String, Rows>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sweep = || {
        let folder = Folder::new(text);
        folder.ends(0, &["--jobs", "2"]);
        folder.results()
    };
    done.entry(text.to_string()).or_insert_with(sweep).clone()
}

#[track_caller]
pub fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Says clearly that a test did not test anything here.
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}
