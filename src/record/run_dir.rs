//! The folder of a run, and who may write to it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{atomic, log};
use crate::{Error, Result};

/// Name of the newest checkpoint in a run's folder.
pub const LAST: &str = "last.safetensors";

/// The files of a run, all that [`RunDir::clear`] removes.
const FILES: [&str; 7] =
    ["config.toml", "metrics.csv", "diagnostics.csv", "summary.json", LAST, "best.safetensors", "log.txt"];

/// Held while a process writes to the folder; the lock is the system's, so it ends with the process, however it ends.
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
    /// Another process is training into it; the operating system refused.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        fs::create_dir_all(&path).map_err(Error::io(&path))?;
        let lock = lock(&path)?;
        atomic::clean(&path)?;
        Ok(Self { path, _lock: lock })
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

    /// `diagnostics.csv`: the measured distribution shift, where it was asked for.
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
    /// The operating system refused.
    pub fn log(&self, text: &str) -> Result<()> {
        log::append(&self.path.join("log.txt"), text)
    }

    /// Removes the files of an earlier attempt, and nothing else that may be in the folder.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn clear(&self) -> Result<()> {
        for path in FILES.map(|name| self.path.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io(&path)(error)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let why = "another process is training into this folder; wait for it or stop it, or choose another --out";
            Err(Error::checkpoint(dir, why))
        }
        // Some network file systems have no locks: one process per run is then the user's care, not a reason to refuse.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(Error::io(&path)(error)),
    }
}
