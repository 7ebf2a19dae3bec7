//! Where the files of a data set are looked for: the user's folder first, then the program's cache, then the hub.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::data::found::Found;
use crate::data::{Dataset, Images, Kind, find, folder, near};
use crate::{Error, Result};

/// How a data set is read from files.
#[derive(Debug)]
pub struct Files {
    /// What is looked for, in words.
    pub wanted: &'static str,
    /// The names of its files, in lower case, by which those are recognized that have nearly such a name.
    pub names: &'static [&'static [&'static str]],
    /// Finds the set's files in a data folder, in the order in which they are read; none if it is not there.
    pub locate: fn(&Path) -> Result<Option<Vec<PathBuf>>>,
    /// Reads training and test images from the files found.
    pub read: fn(&Kind, &[PathBuf], &Source) -> Result<[Images; 2]>,
    /// The same set on the hub.
    pub hub: HubSet,
}

/// A data set on the Hugging Face hub: `<config>/{train,test}/0000.parquet` of its parquet conversion.
#[derive(Debug, Clone, Copy)]
pub struct HubSet {
    /// `owner/name`.
    pub id: &'static str,
    /// Name of its configuration, a folder.
    pub config: &'static str,
    /// Column of the encoded images.
    pub image: &'static str,
    /// Column of the labels.
    pub label: &'static str,
}

/// Where to look for data.
#[derive(Debug, Clone)]
pub struct Source {
    /// The user's folder, looked at first.
    pub data_dir: Option<PathBuf>,
    /// What names that folder, for messages: `--data-dir`, or an environment variable.
    pub data_dir_from: &'static str,
    /// The program's own folder: unpacked archives, and data files put there by hand.
    pub cache_dir: PathBuf,
    /// Whether to ask the hub for what is in neither.
    pub hub: bool,
    /// The hub's address; `None`: `HF_ENDPOINT`, or the public one.
    pub hub_endpoint: Option<String>,
    /// The hub's cache; `None`: `HF_HUB_CACHE`, `HF_HOME`/hub, or the usual folder.
    pub hub_cache: Option<PathBuf>,
}

impl Default for Source {
    /// No folder of the user's; the cache in `MBN_CACHE_DIR`, else `XDG_CACHE_HOME`/mbn, else ~/.cache/mbn; the hub
    /// unless `HF_HUB_OFFLINE` is set to anything but `0`.
    fn default() -> Self {
        let folder = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let cache_dir = folder("MBN_CACHE_DIR")
            .or_else(|| folder("XDG_CACHE_HOME").map(|p| p.join("mbn")))
            .or_else(|| folder("HOME").map(|p| p.join(".cache/mbn")))
            .unwrap_or_else(|| env::temp_dir().join("mbn"));
        let offline = env::var("HF_HUB_OFFLINE").is_ok_and(|v| !v.is_empty() && v != "0");
        Self {
            data_dir: None,
            data_dir_from: "--data-dir",
            cache_dir,
            hub: !offline,
            hub_endpoint: None,
            hub_cache: None,
        }
    }
}

impl Source {
    /// The default source with the user's folder, looked at first.
    pub fn with_data_dir(data_dir: Option<PathBuf>) -> Self {
        Self { data_dir, ..Self::default() }
    }

    /// Checks that the user's folder, if there is one, is a folder that can be read.
    ///
    /// # Errors
    /// It does not exist, is a file, or may not be read.
    pub fn check_data_dir(&self) -> Result<()> {
        let (Some(path), from) = (&self.data_dir, self.data_dir_from) else { return Ok(()) };
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                path.join(".").metadata().map(drop).map_err(|error| folder::refused(path, error))
            }
            Ok(_) => {
                let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let named = if from.starts_with('-') { format!("{from} ") } else { format!("{from}=") };
                let why = format!("is a file, not a folder; {from} names the folder that holds the data");
                Err(Error::data(path, format!("{why}: {named}{}", folder::quoted(parent))))
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(Error::data(path, format!("the data folder that {from} names does not exist")))
            }
            Err(error) => Err(folder::refused(path, error)),
        }
    }

    /// The files in the first of the folders that has the set.
    pub(super) fn locate(&self, files: &Files) -> Result<Option<Vec<PathBuf>>> {
        self.check_data_dir()?;
        for folder in self.folders() {
            if let Some(found) = (files.locate)(folder)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn folders(&self) -> impl Iterator<Item = &Path> {
        self.data_dir.as_deref().into_iter().chain([self.cache_dir.as_path()])
    }

    /// What was looked for and where, what is there instead, and what to do, with the hub's reason.
    pub(super) fn not_found(&self, kind: &Kind, files: &Files, hub: &str) -> Error {
        let folders: Vec<String> = self.folders().map(|f| f.display().to_string()).collect();
        let instead = self.data_dir.as_deref().map_or(String::new(), |folder| near::instead(folder, kind, files));
        let name = kind.name;
        let download = match cfg!(feature = "hub") {
            true => format!("download it once with `mbn data fetch {name}`"),
            false => format!("download it once with `mbn data fetch {name}` of a program built with the hub feature"),
        };
        Error::data(
            name,
            format!(
                "not found. Looked in {} for {}; {hub}.{instead} Pass the folder that holds it with --data-dir (or \
                 MBN_DATA_DIR), or {download}",
                folders.join(" and "),
                files.wanted
            ),
        )
    }
}

/// Loads a data set. `digits` and `shapes` need no files; the others come from the source's folders, else from the hub.
///
/// # Errors
/// An unknown name, files that are not what they should be, or none found: the message says what was looked for, where,
/// and what to do.
pub fn load(name: &str, source: &Source) -> Result<Dataset> {
    let kind = find(name)?;
    Found::look(kind, source)?.read(kind, source)
}

/// The digest of a data set ([`Dataset::digest`]), as remembered from an earlier [`load`] of the same files, else by
/// loading it.
///
/// # Errors
/// As [`load`].
pub fn digest(name: &str, source: &Source) -> Result<String> {
    let kind = find(name)?;
    let found = Found::look(kind, source)?;
    match found.known_digest(kind, source) {
        Some(digest) => Ok(digest),
        None => Ok(found.read(kind, source)?.digest),
    }
}

/// Makes sure that a data set is on this machine, downloading it into the hub's cache where necessary. Returns the path of
/// its first file; `None` for a generated set.
///
/// # Errors
/// An unknown name, or a data set that is neither found nor can be downloaded: as [`load`].
pub fn fetch(name: &str, source: &Source) -> Result<Option<PathBuf>> {
    Ok(Found::look(find(name)?, source)?.files().first().cloned())
}
