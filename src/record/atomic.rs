//! Atomic replacement of files: readers see the old contents or the new, never a part, even if the process dies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Ending of the names of temporary files.
const TEMPORARY: &str = ".part";

/// Writes `bytes` to a temporary name in the same folder, syncs it, renames it to `path` and syncs the folder.
///
/// A process killed in between leaves a temporary file behind, which [`clean`] removes.
///
/// # Errors
/// An I/O error; `path` is as it was before.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(Error::io(path))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = create_beside(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        // The first error is the one to report; a leftover is harmless.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(folder(path))
}

/// A new file beside `path` that no other process or thread writes to: `.NAME.PID.COUNTER.part`.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file name"))?;
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = format!(".{}.{}.{number}{TEMPORARY}", name.to_string_lossy(), std::process::id());
        let temporary = folder(path).join(temporary);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            // Left by a process with the same id, perhaps on another machine: take the next name.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes what processes killed inside [`write()`] left in `dir`. Call it where no other process is writing there.
///
/// # Errors
/// The folder cannot be read, or a leftover cannot be removed.
pub fn clean(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(TEMPORARY) {
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the rename itself durable; only on Unix can a folder be opened for this.
fn sync_folder(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}
