//! A data set that has been found, to be read.

use std::path::PathBuf;

use crate::Result;
use crate::data::digest::{self, CachedDigest};
use crate::data::{Dataset, Files, HubSet, Kind, Origin, Source, Splits, check, hub};

/// A data set that has been found but not read.
pub(super) enum Found<'a> {
    /// How it is drawn, and its digest.
    Generated(fn() -> Splits, &'static str),
    /// The files in a folder.
    Files(&'a Files, Vec<PathBuf>),
    /// The files in the hub's cache.
    Hub(&'a HubSet, [PathBuf; 2]),
}

impl<'a> Found<'a> {
    /// Looks in the folders, then on the hub.
    pub(super) fn look(kind: &'a Kind, source: &Source) -> Result<Self> {
        let files = match &kind.origin {
            Origin::Generated { draw, digest } => return Ok(Self::Generated(*draw, digest)),
            Origin::Files(files) => files,
        };
        if let Some(found) = source.locate(files)? {
            return Ok(Self::Files(files, found));
        }
        let found = hub::download(&files.hub, source).map_err(|reason| source.not_found(kind, files, &reason))?;
        Ok(Self::Hub(&files.hub, found))
    }

    /// Its files; none of a generated set.
    pub(super) fn files(&self) -> &[PathBuf] {
        match self {
            Self::Generated(..) => &[],
            Self::Files(_, files) => files,
            Self::Hub(_, files) => files,
        }
    }

    /// Its digest, where that is known without reading it.
    pub(super) fn known_digest(&self, kind: &Kind, source: &Source) -> Option<String> {
        match self {
            Self::Generated(_, digest) => Some(digest.to_string()),
            _ => CachedDigest::of(kind.name, self.files(), &source.cache_dir).recall(),
        }
    }

    /// Reads or draws it.
    pub(super) fn read(&self, kind: &Kind, source: &Source) -> Result<Dataset> {
        let cached = CachedDigest::of(kind.name, self.files(), &source.cache_dir);
        let splits = match self {
            Self::Generated(draw, digest) => return Ok(Dataset::new(kind, draw(), digest.to_string(), vec![])),
            Self::Files(reader, files) => {
                let [train, test] = (reader.read)(kind, files, source)?;
                let origin = files.first().map_or(String::new(), |file| file.display().to_string());
                Splits { train, test, origin }
            }
            Self::Hub(set, files) => {
                let [train, test] = hub::read(kind, set, files)?;
                Splits { train, test, origin: format!("hub:{}", set.id) }
            }
        };
        let digest = cached.recall().unwrap_or_else(|| {
            let digest = digest::of([&splits.train, &splits.test]);
            cached.keep(&digest);
            digest
        });
        let remarks = check::remarks(kind, &splits.train, &splits.test);
        Ok(Dataset::new(kind, splits, digest, remarks))
    }
}
