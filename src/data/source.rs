//! Finding a data set's files: the user's folder first, then the program's cache, then the hub.

use std::env;
use std::path::{Path, PathBuf};

use crate::data::{find, hub, Dataset, Images, Kind, Origin};
use crate::{Error, Result};

/// How a data set is read from files.
#[derive(Debug)]
pub struct Files {
    /// Files by one of which the set is recognised, relative to a data folder, in order of preference.
    pub markers: &'static [&'static str],
    /// Reads training and test pictures, given the marker that was found.
    pub read: fn(&Kind, &Path, &Source) -> Result<[Images; 2]>,
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
    /// Column of the encoded pictures.
    pub image: &'static str,
    /// Column of the labels.
    pub label: &'static str,
}

/// Where to look for data.
#[derive(Debug, Clone)]
pub struct Source {
    /// The user's folder, looked at first.
    pub data_dir: Option<PathBuf>,
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
        Self { data_dir: None, cache_dir, hub: !offline, hub_endpoint: None, hub_cache: None }
    }
}

impl Source {
    /// The default source with the user's folder, looked at first.
    pub fn with_data_dir(data_dir: Option<PathBuf>) -> Self {
        Self { data_dir, ..Self::default() }
    }

    /// The first of `files`' markers that exists, in the order of the folders.
    fn locate(&self, files: &Files) -> Result<Option<PathBuf>> {
        if let Some(folder) = self.data_dir.as_deref().filter(|p| !p.is_dir()) {
            return Err(Error::data(folder, "the data folder (--data-dir) does not exist or is not a folder"));
        }
        let candidates = self.folders().flat_map(|folder| files.markers.iter().map(move |m| folder.join(m)));
        Ok(candidates.into_iter().find(|path| path.exists()))
    }

    fn folders(&self) -> impl Iterator<Item = &Path> {
        self.data_dir.as_deref().into_iter().chain([self.cache_dir.as_path()])
    }

    /// What was looked for and where, and what to do, with the hub's reason.
    fn not_found(&self, kind: &Kind, files: &Files, hub: &str) -> Error {
        let folders: Vec<String> = self.folders().map(|f| f.display().to_string()).collect();
        Error::data(
            kind.name,
            format!(
                "not found. Looked in {} for {}; {hub}. Pass the folder that holds it with --data-dir (or MBN_DATA_DIR), \
                 or download it once with `mbn data fetch {}` (feature `hub`)",
                folders.join(" and "),
                files.markers.join(", "),
                kind.name
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
    let files = match &kind.origin {
        Origin::Generated(make) => return Ok(Dataset::new(kind, make())),
        Origin::Files(files) => files,
    };
    let ([train, test], origin) = match source.locate(files)? {
        Some(marker) => ((files.read)(kind, &marker, source)?, marker.display().to_string()),
        None => {
            let found = fetch_from_hub(kind, files, source)?;
            (hub::read(kind, &files.hub, &found)?, format!("hub:{}", files.hub.id))
        }
    };
    Ok(Dataset::new(kind, crate::data::Splits { train, test, origin }))
}

/// Makes sure that a data set is on this machine, downloading it into the hub's cache where necessary. Returns where it
/// lies; `None` for a generated set.
///
/// # Errors
/// An unknown name, or not found and not to be had: as [`load`].
pub fn fetch(name: &str, source: &Source) -> Result<Option<PathBuf>> {
    let kind = find(name)?;
    let Origin::Files(files) = &kind.origin else { return Ok(None) };
    if let Some(marker) = source.locate(files)? {
        return Ok(Some(marker));
    }
    let [train, _] = fetch_from_hub(kind, files, source)?;
    Ok(Some(train))
}

fn fetch_from_hub(kind: &Kind, files: &Files, source: &Source) -> Result<[PathBuf; 2]> {
    hub::download(&files.hub, source).map_err(|reason| source.not_found(kind, files, &reason))
}
