//! The data that the runs of a sweep folder use: `data.toml`, the digest of each data set.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::table::{lock, replace};
use super::{Job, Sweep};
use crate::data::{self, Origin, Source};
use crate::{Error, Result};

const HEAD: &str = "# The digests of the data that the runs in this folder are on.\n";

/// What a sweep needs to know of its data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The data themselves: runs are to be trained.
    Data,
    /// The names of the runs: where data are not on this machine, the digest recorded in the sweep folder is enough.
    Names,
}

impl Sweep {
    /// The sweep with the digests of its data from `source`, so that its runs' names are those of their folders in `out`.
    /// Also returns the data sets whose digests are unknown: the names of their runs lack it.
    ///
    /// # Errors
    /// With [`Need::Data`], data that cannot be found; other data than those of the runs in `out`.
    pub fn on_data(mut self, out: &Path, source: &Source, need: Need) -> Result<(Self, Vec<String>)> {
        let recorded = read(out)?;
        let (mut known, mut unknown) = (BTreeMap::<String, Option<String>>::new(), vec![]);
        for job in &mut self.jobs {
            let name = &job.config.dataset;
            if !known.contains_key(name) {
                if matches!(data::find(name)?.origin, Origin::Files(_)) {
                    source.check_data_dir()?;
                }
                let digest = match (data::digest(name, source), recorded.get(name)) {
                    (Ok(digest), _) => Some(digest),
                    (Err(_), Some(digest)) => Some(digest.clone()),
                    (Err(Error::Data { .. }), None) if need == Need::Names => None,
                    // The files exist but cannot be used: their runs will fail, with a row each, and the others are trained.
                    (Err(Error::Data { .. }), None) if data::fetch(name, source).is_ok() => None,
                    (Err(error), _) => return Err(error),
                };
                if let Some(digest) = &digest {
                    check(out, &recorded, name, digest)?;
                } else {
                    unknown.push(name.clone());
                }
                known.insert(name.clone(), digest);
            }
            if let Some(Some(digest)) = known.get(name) {
                job.is_on(digest)?;
            }
        }
        Ok((self, unknown))
    }

    /// The sweep on the data that the runs in `out` are on: its runs' names are then those of their folders.
    ///
    /// # Errors
    /// The folder's `data.toml` cannot be read.
    pub fn on_recorded_data(mut self, out: &Path) -> Result<Self> {
        let recorded = read(out)?;
        for job in &mut self.jobs {
            if let Some(digest) = recorded.get(&job.config.dataset) {
                job.is_on(digest)?;
            }
        }
        Ok(self)
    }
}

impl Job {
    /// Data are part of a run's name.
    fn is_on(&mut self, digest: &str) -> Result<()> {
        self.config = self.config.with_data_digest(digest, &self.config.dataset)?;
        self.name = self.config.run_name()?;
        Ok(())
    }
}

/// Checks that the runs in `out`, if there are any, use these data.
fn check(out: &Path, recorded: &BTreeMap<String, String>, name: &str, digest: &str) -> Result<()> {
    match recorded.get(name).filter(|old| *old != digest) {
        None => Ok(()),
        Some(old) => {
            let why = format!(
                "the runs in this folder are on other images or labels of {name}: their digest is {old}, that of the data \
                 here is {digest}; point --data-dir to their data, or choose another --out"
            );
            Err(Error::data(path(out), why))
        }
    }
}

/// Records the data of the jobs; runs on other data may then not be added to the folder.
///
/// # Errors
/// Another process has recorded other data meanwhile; the file cannot be written.
pub(super) fn record(out: &Path, jobs: &[Job]) -> Result<()> {
    let _lock = lock(out)?;
    let mut recorded = read(out)?;
    for job in jobs {
        if let Some(digest) = &job.config.data_digest {
            check(out, &recorded, &job.config.dataset, digest)?;
            recorded.insert(job.config.dataset.clone(), digest.clone());
        }
    }
    let table: Table = recorded.into_iter().map(|(name, digest)| (name, Value::String(digest))).collect();
    replace(&path(out), format!("{HEAD}{table}").as_bytes())
}

fn path(out: &Path) -> PathBuf {
    out.join("data.toml")
}

/// The digests by data set; none where the folder has no runs yet.
fn read(out: &Path) -> Result<BTreeMap<String, String>> {
    let path = path(out);
    let text = match fs::read_to_string(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(BTreeMap::new());
        }
        text => text.map_err(Error::io(&path))?,
    };
    toml::from_str(&text).map_err(|error| {
        let advice = match text.starts_with(HEAD) {
            true => "remove the file if the data here are those of the runs",
            false => "this is not a sweep's record of its data; choose another --out, or rename the file",
        };
        Error::data(&path, format!("{}; {advice}", error.message()))
    })
}
