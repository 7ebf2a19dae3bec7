//! Finding files in a data folder, and explaining why one cannot be used.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::{Error, Result, text};

/// Number of names that are listed before "and N more".
const LISTED: usize = 12;

/// The first of `paths` that is a file with something in it, else the first that is a file.
///
/// # Errors
/// A folder on the path that may not be read.
pub(super) fn first_file(paths: impl IntoIterator<Item = PathBuf>) -> Result<Option<PathBuf>> {
    let mut empty = None;
    for path in paths {
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() && meta.len() > 0 => return Ok(Some(path)),
            Ok(meta) if meta.is_file() => empty = empty.or(Some(path)),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(refused(&path, error)),
        }
    }
    Ok(empty)
}

/// The size of a regular file, which must not be empty.
///
/// # Errors
/// There is none, it is empty, or it is not a regular file.
pub(super) fn file_length(path: &Path) -> Result<u64> {
    let meta = fs::metadata(path).map_err(|error| refused(path, error))?;
    match meta.len() {
        _ if !meta.is_file() => Err(Error::data(path, "is a folder or device, not a file")),
        0 => Err(Error::data(path, "is empty; download the file again")),
        length => Ok(length),
    }
}

/// The error for a file that cannot be accessed, with the command that gives access if permissions are missing.
pub(super) fn refused(path: &Path, error: io::Error) -> Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return Error::io(path)(error);
    }
    // The outermost folder that may not be entered; without one, it is the file that may not be read.
    let closed =
        path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).filter(|p| p.join(".").metadata().is_err());
    let closed = closed.last().unwrap_or(path);
    Error::data(path, format!("cannot be read (permission denied); allow it with chmod -R u+rX {}", quoted(closed)))
}

/// A path, quoted for a shell if necessary.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    match text.chars().all(|c| c.is_alphanumeric() || "/._-+,:@%=".contains(c)) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The names in a folder, sorted, folders with a `/`; none where it cannot be read.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let name = |entry: fs::DirEntry| {
        let slash = if entry.path().is_dir() { "/" } else { "" };
        format!("{}{slash}", entry.file_name().to_string_lossy())
    };
    let mut names: Vec<String> = entries.flatten().map(name).filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// Whether there is a link to something that is not there.
pub(super) fn points_nowhere(path: &Path) -> bool {
    path.is_symlink() && !path.exists()
}

/// `holds a, b, c/ and 3 more`, or that it holds nothing.
pub(super) fn listing(folder: &Path) -> String {
    let shown = |name: String| match points_nowhere(&folder.join(&name)) {
        true => format!("{name} (a link that points nowhere)"),
        false => name,
    };
    let mut names = names(folder);
    names.iter_mut().take(LISTED).for_each(|name| *name = shown(std::mem::take(name)));
    match names.is_empty() {
        true => "holds nothing".into(),
        false => format!("holds {}", text::first(&names, LISTED)),
    }
}
