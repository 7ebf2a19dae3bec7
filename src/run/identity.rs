//! Whether a run folder belongs to the data in use.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Session;
use crate::config::{Config, up_to_date};
use crate::{Error, Result};

const KEY: &str = "data_digest";

/// Checks that the settings recorded in `path` have the data digest of `config`.
///
/// # Errors
/// They have another digest, or none.
pub(super) fn check_data(path: &Path, recorded: &Table, config: &Config) -> Result<()> {
    let (found, own) = (recorded.get(KEY).and_then(Value::as_str), config.data_digest.as_deref());
    if found == own {
        return Ok(());
    }
    let word = |digest: Option<&str>| digest.unwrap_or("not recorded").to_string();
    let why = format!(
        "made on other images or labels of {}: the digest of its data is {}, that of the data here is {}; point \
         --data-dir to its data, or start over with --fresh",
        config.dataset,
        word(found),
        word(own)
    );
    Err(Error::checkpoint(path, why))
}

/// A run in `out` that differs from that of `config` in its data alone, and the digest of its data.
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

/// Remarks on the data that a run is evaluated on. Without `of_split`, these may be other data than the run's; otherwise it
/// is what needs the run's split, and the way to do without.
///
/// # Errors
/// With `of_split`: other data than the run's, whose training and validation images are unknown.
pub(super) fn notes(config: &Config, session: &Session, of_split: Option<[&str; 2]>) -> Result<Vec<String>> {
    let (dataset, name) = (&session.dataset, &config.dataset);
    let other = config.data_digest.as_ref().filter(|own| **own != dataset.digest);
    if let (Some(own), Some([what, instead])) = (other, of_split) {
        let why = format!(
            "other images or labels of {name} than the run's: their digest is {}, the run's is {own}, and {what} needs the \
             images that the run held out or trained on; point --data-dir to the run's data, or {instead}",
            dataset.digest
        );
        return Err(Error::data(&dataset.origin, why));
    }
    let other = other.map(|own| {
        format!("{name}: not the data of the training run: their digest is {}, the run's is {own}", dataset.digest)
    });
    let odd = [dataset.remarks.clone(), session.remarks(config)].concat();
    Ok(other.into_iter().chain(odd.into_iter().map(|remark| format!("{name}: {remark}"))).collect())
}
