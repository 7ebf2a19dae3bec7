//! Detecting changed files without reading them.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Two changes within this time may leave a file with the same times.
const COARSE: Duration = Duration::from_secs(2);

/// One line per file: its name as `name` gives it, size, and the times that the system keeps; none if a file is missing.
pub(super) fn of(files: &[PathBuf], name: impl Fn(&Path) -> String) -> Option<String> {
    let line = |file: &PathBuf| {
        let meta = fs::metadata(file).ok()?;
        Some(format!("{}\t{}\t{}\n", name(file), meta.len(), times(&meta)))
    };
    files.iter().map(line).collect()
}

/// Whether all the files were last changed so long ago that another change would show.
pub(super) fn are_settled(files: &[PathBuf]) -> bool {
    let settled = |file: &PathBuf| {
        let modified = fs::metadata(file).and_then(|meta| meta.modified()).ok()?;
        SystemTime::now().duration_since(modified).ok().filter(|age| *age > COARSE)
    };
    files.iter().all(|file| settled(file).is_some())
}

/// The modification time and, on Unix, the inode change time: a copy can preserve the former but not the latter.
fn times(meta: &Metadata) -> String {
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{}{}", modified.as_nanos(), changed(meta))
}

#[cfg(unix)]
fn changed(meta: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("\t{}.{:09}", meta.ctime(), meta.ctime_nsec())
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> String {
    String::new()
}
