//! Hints on what the user's folder holds instead of a data set that was not found there.

use std::path::{Path, PathBuf};

use crate::data::folder::{listing, names, points_nowhere, quoted};
use crate::data::{DATASETS, Files, Kind, Origin};

/// Number of subfolders that are searched at most, on each level.
const MOST: usize = 64;

/// Endings of a compressed file.
const ENDINGS: [&str; 5] = ["", ".gz", ".bz2", ".xz", ".zst"];

/// A sentence, after a space, on what the folder holds: the set one folder further down, a file that is nearly right, or
/// else its contents.
pub(super) fn instead(root: &Path, kind: &Kind, files: &Files) -> String {
    let folders = subfolders(root, kind);
    if let Some(deeper) = folders.iter().find(|deeper| matches!((files.locate)(deeper), Ok(Some(_)))) {
        return format!(" It is in a subfolder: use --data-dir {}.", quoted(deeper));
    }
    let deeper: Vec<_> = folders.iter().flat_map(|folder| subfolders(folder, kind)).take(MOST).collect();
    let places = std::iter::once(root).chain(folders.iter().chain(&deeper).map(PathBuf::as_path));
    let near = |place: &Path| names(place).iter().find_map(|name| nearly(place, name, kind, files));
    match places.filter_map(near).next() {
        Some(text) => format!(" {text}."),
        None => format!(" {} {}.", root.display(), listing(root)),
    }
}

/// The folders in a folder, without those that are named after another data set.
fn subfolders(folder: &Path, kind: &Kind) -> Vec<PathBuf> {
    let inside = names(folder);
    let folders = inside.iter().filter_map(|name| name.strip_suffix('/')).filter(|name| !names_another(name, kind));
    folders.take(MOST).map(|name| folder.join(name)).collect()
}

/// Whether the name of a folder contains that of another data set that is read from files.
fn names_another(folder: &str, kind: &Kind) -> bool {
    let plain = |name: &str| name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let folder = plain(folder);
    let read = DATASETS.iter().filter(|other| matches!(other.origin, Origin::Files(_)));
    // The longest, since MNIST's name is a part of Fashion-MNIST's.
    let named = read.filter(|other| folder.contains(&plain(other.name))).max_by_key(|other| other.name.len());
    named.is_some_and(|named| named.name != kind.name)
}

/// What `name` in the folder `place` is and what to do about it, if it looks like data in a format that is not supported.
fn nearly(place: &Path, name: &str, kind: &Kind, files: &Files) -> Option<String> {
    let (path, lower) = (place.join(name), name.to_lowercase());
    let (shown, file, folder) = (path.display(), quoted(&path), quoted(place));
    let ends = |ending: &str| lower.ends_with(ending);
    if let Some(text) = misnamed(place, name, files) {
        return Some(text);
    }
    if lower.starts_with("emnist") {
        let own = kind.name;
        return Some(format!(
            "{shown} belongs to EMNIST, other images and labels than those of {own}; put the files of {own} beside it"
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
        return Some(format!("{shown} is not in a format that this program reads; get the published files"));
    }
    if ends(".tar.bz2") || ends(".tar.xz") || ends(".tar.zst") {
        return Some(format!("{shown} is not unpacked: tar -xf {file} -C {folder}"));
    }
    None
}

/// What is wrong with a file of the set that is there under its name, or nearly, but cannot be read.
fn misnamed(place: &Path, name: &str, files: &Files) -> Option<String> {
    let name = name.trim_end_matches('/');
    let plain = without_number(name);
    let published = files.names.iter().copied().flatten().find_map(|published| {
        let spellings = [published.to_string(), published.replace("-idx", ".idx")];
        spellings.into_iter().find(|spelling| plain.strip_prefix(&**spelling).is_some_and(|e| ENDINGS.contains(&e)))
    })?;
    let ending = &plain[published.len()..];
    let path = place.join(name);
    let (shown, file) = (path.display(), quoted(&path));
    if points_nowhere(&path) {
        let target = path.read_link().unwrap_or_default();
        return Some(format!("{shown} is a link that points nowhere, to {}", target.display()));
    }
    if path.is_dir() {
        return Some(format!("{shown} is a folder, not the file of that name"));
    }
    match ending {
        ".bz2" => Some(format!("{shown} is compressed by bzip2: bunzip2 {file}")),
        ".xz" => Some(format!("{shown} is compressed by xz: unxz {file}")),
        ".zst" => Some(format!("{shown} is compressed by zstd: unzstd {file}")),
        _ if name != plain => {
            Some(format!("{shown} has another name than {plain}: mv {file} {}", quoted(&place.join(&plain))))
        }
        _ => None,
    }
}

/// A name in lower case, without the number that browsers give a copy: `a.gz` for `A (1).gz`.
fn without_number(name: &str) -> String {
    let lower = name.to_lowercase();
    let number =
        lower.split_once('(').and_then(|(start, rest)| rest.split_once(')').map(|(number, end)| (start, number, end)));
    match number {
        Some((start, number, end)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{}{end}", start.trim_end())
        }
        _ => lower,
    }
}
