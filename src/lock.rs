//! A lock that lets one process at a time work in a folder.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use crate::{Error, Result};

/// Held until it is dropped or the process ends, however it ends.
pub(crate) struct Lock {
    /// Whether the lock excludes other processes; false on a file system without locks.
    pub(crate) alone: bool,
    _file: File,
}

/// Waits for the lock of `dir`: that of its file `.lock`, which is left in place.
///
/// # Errors
/// The file cannot be created or locked.
pub(crate) fn wait(dir: &Path) -> Result<Lock> {
    let path = dir.join(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    let alone = match file.lock() {
        Err(error) if error.kind() == ErrorKind::Unsupported => false,
        done => done.map(|()| true).map_err(Error::io(&path))?,
    };
    Ok(Lock { alone, _file: file })
}
