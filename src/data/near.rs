//! Hints on what the user's folder holds instead of a data set that was not found there.

use std::path::Path;

use crate::data::folder::{listing, names, quoted};
use crate::data::{Files, folder};
use crate::{Error, Result};

/// Number of subfolders that are searched at most.
const MOST: usize = 64;

/// Checks that the user's folder is a folder that can be read.
///
/// # Errors
/// It is missing, a file, or not readable.
pub(super) fn check_folder(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => match path.join(".").metadata() {
            Ok(_) => Ok(()),
            Err(error) => Err(folder::refused(path, error)),
        },
        Ok(_) => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let why = "is a file, not a folder; --data-dir names the folder that holds the data: --data-dir";
            Err(Error::data(path, format!("{why} {}", quoted(parent))))
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(folder::refused(path, error)),
        Err(_) => Err(Error::data(path, "the data folder (--data-dir) does not exist or is not a folder")),
    }
}

/// A sentence, after a space, on what the folder holds: the set one folder further down, a file that is nearly right, or
/// else its contents.
pub(super) fn instead(root: &Path, files: &Files) -> String {
    let inside = names(root);
    let folders = || {
        inside.iter().filter(|name| name.ends_with('/')).take(MOST).map(|name| root.join(name.trim_end_matches('/')))
    };
    if let Some(deeper) = folders().find(|deeper| matches!((files.locate)(deeper), Ok(Some(_)))) {
        return format!(" It is in a subfolder: use --data-dir {}.", quoted(&deeper));
    }
    let places = std::iter::once(root.to_path_buf()).chain(folders());
    let near = |place: std::path::PathBuf| names(&place).iter().find_map(|name| nearly(&place, name));
    match places.filter_map(near).next() {
        Some(text) => format!(" {text}."),
        None => format!(" {} {}.", root.display(), listing(root)),
    }
}

/// What `name` in the folder `place` is and what to do about it, if it looks like data in a format that is not supported.
fn nearly(place: &Path, name: &str) -> Option<String> {
    let (path, lower) = (place.join(name), name.to_lowercase());
    let (shown, file, folder) = (path.display(), quoted(&path), quoted(place));
    let ends = |ending: &str| lower.ends_with(ending);
    if lower.starts_with("emnist") {
        return Some(format!(
            "{shown} belongs to EMNIST, other images and labels than MNIST's; put MNIST's own four files beside it"
        ));
    }
    if ends(".zip") {
        return Some(format!("{shown} is not unpacked: unzip {file} -d {folder}"));
    }
    if ends(".7z") {
        return Some(format!("{shown} is not unpacked: 7z x {file} -o{folder}"));
    }
    if [".part", ".crdownload", ".download", ".incomplete"].iter().any(|ending| ends(ending)) {
        return Some(format!("{shown} is an unfinished download: download it again"));
    }
    if ends(".mat") || lower.contains("-matlab") {
        return Some(format!("{shown} is the MATLAB version; get the binary version"));
    }
    if ends(".parquet") || ends(".arrow") || ends(".npz") || ends(".csv") || ends(".pt") {
        return Some(format!("{shown} is in a format that is not read from a folder; get the published files"));
    }
    if ends(".tar.bz2") || ends(".tar.xz") || ends(".tar.zst") {
        return Some(format!("{shown} is not unpacked: tar -xf {file} -C {folder}"));
    }
    None
}
