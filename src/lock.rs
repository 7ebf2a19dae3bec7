//! One process at a time in a folder.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use crate::{Error, Result};

/// Held until it is dropped or the process ends, however it ends.
pub(crate) struct Lock {
    /// Whether the file system has locks: without them there may be someone else here.
    pub(crate) alone: bool,
    _file: File,
}

/// Waits until no one else holds the lock of `dir`, its file `.lock`, which stays there.
///
/// # Errors
/// The file cannot be made, or the system refuses to wait.
pub(crate) fn wait(dir: &Path) -> Result<Lock> {
    let path = dir.join(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    let alone = match file.lock() {
        Err(error) if error.kind() == ErrorKind::Unsupported => false,
        done => done.map(|()| true).map_err(Error::io(&path))?,
    };
    Ok(Lock { alone, _file: file })
}
