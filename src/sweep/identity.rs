//! The data that the runs of a sweep folder are on: `data.toml`, the digest of each data set.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::table::{lock, replace};
use super::{Job, Sweep};
use crate::data::{self, Source};
use crate::{Error, Result};

const HEAD: &str = "# The digests of the data that the runs in this folder are on.\n";

/// How the data sets of a sweep are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// They must be at hand, since runs are to be done.
    Data,
    /// What the sweep folder says about them is enough where they are not at hand.
    Names,
}

impl Sweep {
    /// The sweep on the data that `source` has: its runs' names are then those of their folders in `out`. Also gives the
    /// data sets that neither are at hand nor were before ([`Need::Names`]): their runs are named without them.
    ///
    /// # Errors
    /// With [`Need::Data`], data that are not there; other data than those of the runs in `out`.
    pub fn on_data(mut self, out: &Path, source: &Source, need: Need) -> Result<(Self, Vec<String>)> {
        let recorded = read(out)?;
        let (mut known, mut unknown) = (BTreeMap::<String, Option<String>>::new(), vec![]);
        for job in &mut self.jobs {
            let name = &job.config.dataset;
            if !known.contains_key(name) {
                let digest = match (data::digest(name, source), recorded.get(name)) {
                    (Ok(digest), _) => Some(digest),
                    (Err(_), Some(digest)) => Some(digest.clone()),
                    (Err(Error::Data { .. }), None) if need == Need::Names => None,
                    // There, but not what they are called: their runs will fail and have a row each, the others are done.
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
        self.config = self.config.on(digest, &self.config.dataset)?;
        self.name = self.config.run_name()?;
        Ok(())
    }
}

/// The runs in `out` must be on these data, if there are any.
fn check(out: &Path, recorded: &BTreeMap<String, String>, name: &str, digest: &str) -> Result<()> {
    match recorded.get(name).filter(|old| *old != digest) {
        None => Ok(()),
        Some(old) => {
            let why = format!(
                "the runs in this folder are on other images or labels of {name}: their digest is {old}, that of the data \
                 here {digest}; give the sweep its own data (--data-dir), or another folder (--out)"
            );
            Err(Error::data(path(out), why))
        }
    }
}

/// Records what data the jobs are on, which no runs on others may then join.
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
        Error::data(&path, format!("{}; remove the file if the data are the runs' own", error.message()))
    })
}
