//! The folder of a run, and who may write to it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::{atomic, log};
use crate::{Error, Result};

/// Name of the newest checkpoint in a run's folder.
pub const LAST: &str = "last.safetensors";

/// The files of a run, all that [`RunDir::clear`] removes.
const FILES: [&str; 7] =
    ["config.toml", "metrics.csv", "diagnostics.csv", "summary.json", LAST, "best.safetensors", LOG];

/// Name of the log in a run's folder.
const LOG: &str = "log.txt";

/// Locked while a process writes to the folder; the lock is the operating system's, so it ends with the process.
const LOCK: &str = ".lock";

/// A run's folder, locked against other processes for as long as this value lives.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Creates the folder where there is none, locks it, and removes what a killed process left half-written.
    ///
    /// # Errors
    /// Another process is training into it; I/O errors.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        fs::create_dir_all(&path).map_err(|error| {
            Error::checkpoint(&path, format!("cannot create the run folder ({error}); choose another --out"))
        })?;
        let lock = lock(&path)?;
        atomic::clean(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Whether a process is training into the folder at `path`.
    pub fn is_busy(path: impl AsRef<Path>) -> bool {
        let Ok(file) = File::open(path.as_ref().join(LOCK)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.toml`: the resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// `metrics.csv`: see [`super::MetricRow`].
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// `diagnostics.csv`: the measured distribution shift, if `diagnostics` is on.
    pub fn diagnostics(&self) -> PathBuf {
        self.path.join("diagnostics.csv")
    }

    /// `summary.json`: see [`super::Summary`]; only a run that is over has one.
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// `last.safetensors`: the newest checkpoint.
    pub fn last(&self) -> PathBuf {
        self.path.join(LAST)
    }

    /// `best.safetensors`: the checkpoint that did best on the validation split.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Appends a line to `log.txt`, the UTC time before it.
    ///
    /// # Errors
    /// I/O errors.
    pub fn log(&self, text: &str) -> Result<()> {
        log::append(&self.path.join(LOG), text)
    }

    /// Renames the files of an earlier attempt to `NAME.damaged`, so that the run starts over.
    ///
    /// # Errors
    /// I/O errors.
    pub fn set_aside(&self) -> Result<()> {
        for path in FILES.iter().filter(|name| **name != LOG).map(|name| self.path.join(name)) {
            let mut aside = path.clone().into_os_string();
            aside.push(".damaged");
            unless_missing(&path, fs::rename(&path, aside))?;
        }
        Ok(())
    }

    /// Removes `summary.json`, because a run that is resumed is not over.
    ///
    /// # Errors
    /// I/O errors.
    pub fn reopen(&self) -> Result<()> {
        unless_missing(&self.summary(), fs::remove_file(self.summary()))
    }

    /// Removes the files of an earlier attempt, and nothing else that may be in the folder.
    ///
    /// # Errors
    /// I/O errors.
    pub fn clear(&self) -> Result<()> {
        FILES.map(|name| self.path.join(name)).iter().try_for_each(|path| unless_missing(path, fs::remove_file(path)))
    }
}

/// Ignores the error that the file does not exist.
fn unless_missing(path: &Path, result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path)(error)),
        _ => Ok(()),
    }
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    let mut locked = file.try_lock();
    // `is_busy` holds a shared lock for an instant: retry before concluding that another process is training here.
    for _ in 0..3 {
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            break;
        }
        sleep(Duration::from_millis(10));
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path: dir.to_path_buf() }),
        // Some network file systems have no locks: one process per run is then the user's responsibility.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(Error::io(&path)(error)),
    }
}
