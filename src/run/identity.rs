//! Whether what is in a run's folder is of the data at hand.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Session;
use crate::config::{Config, up_to_date};
use crate::{Error, Result};

const KEY: &str = "data_digest";

/// The settings recorded in `path` must be of the data that `config` is on.
///
/// # Errors
/// They are of other data, or of data unknown.
pub(super) fn check_data(path: &Path, recorded: &Table, config: &Config) -> Result<()> {
    let (found, own) = (recorded.get(KEY).and_then(Value::as_str), config.data_digest.as_deref());
    if found == own {
        return Ok(());
    }
    let word = |digest: Option<&str>| digest.unwrap_or("not recorded").to_string();
    let why = format!(
        "made on other images or labels of {}: the digest of its data is {}, that of the data here {}; give it its own \
         data (--data-dir), or start over with --fresh",
        config.dataset,
        word(found),
        word(own)
    );
    Err(Error::checkpoint(path, why))
}

/// A run in `out` that differs from the one of `config` in its data alone, and their digest.
pub(super) fn on_other_data(out: &Path, config: &Config) -> Result<Option<(PathBuf, String)>> {
    let (name, own) = (config.run_name()?, config.to_table()?);
    let prefix = name.rsplit_once('-').map_or(name.as_str(), |(prefix, _)| prefix);
    let Ok(entries) = fs::read_dir(out) else { return Ok(None) };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| {
        let other = folder.file_name().unwrap_or_default().to_string_lossy();
        other.rsplit_once('-').is_some_and(|(start, _)| start == prefix)
    });
    folders.sort();
    let other = |folder: PathBuf| {
        let recorded: Table = fs::read_to_string(folder.join("config.toml")).ok()?.parse().ok()?;
        let mut settings = up_to_date(recorded).ok()?;
        let digest = settings.insert(KEY.into(), own.get(KEY)?.clone())?.as_str()?.to_string();
        (settings == own && own.get(KEY)?.as_str() != Some(&digest)).then_some((folder, digest))
    };
    Ok(folders.into_iter().find_map(other))
}

/// What is odd about the data on which a run is evaluated; with `test`, on images that it had no part in choosing.
///
/// # Errors
/// Other data than the run's, of which its training and validation images cannot be told.
pub(super) fn notes(config: &Config, session: &Session, test: bool) -> Result<Vec<String>> {
    let (dataset, name) = (&session.dataset, &config.dataset);
    if !test {
        config.on(&dataset.digest, &dataset.origin)?;
    }
    let other = config.data_digest.as_ref().filter(|own| **own != dataset.digest);
    let other = other.map(|own| {
        format!("{name}: not the data of the training run: their digest is {}, the run's {own}", dataset.digest)
    });
    let odd = [dataset.remarks.clone(), session.remarks(config)].concat();
    Ok(other.into_iter().chain(odd.into_iter().map(|remark| format!("{name}: {remark}"))).collect())
}
