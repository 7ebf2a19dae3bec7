//! The structure of a sweep file: its tables and their types. The settings in them are checked later.

use toml::{Table, Value};

use crate::config::{Places, in_plain_words, is_known, place_of_error};
use crate::lookup::closest;
use crate::norm;
use crate::{Error, Result};

const KEYS: [&str; 7] = ["seeds", "fixed", "grid", "variant", "include", "exclude", "override"];

/// The parts of a sweep file, their settings unchecked.
pub(super) struct Document {
    pub(super) seeds: Option<Value>,
    pub(super) fixed: Table,
    pub(super) grid: Table,
    pub(super) variants: Vec<Table>,
    pub(super) includes: Vec<Table>,
    pub(super) excludes: Vec<Table>,
    pub(super) overrides: Vec<Override>,
}

/// An `[[override]]`: a condition on runs, and the settings they get.
pub(super) struct Override {
    pub(super) when: Table,
    pub(super) set: Table,
}

impl Document {
    /// Reads the text of the sweep file `name`.
    ///
    /// # Errors
    /// It is not TOML, has a key that is none of [`KEYS`], or one of the wrong type.
    pub(super) fn read(name: &str, text: &str, places: &Places) -> Result<Self> {
        let mut document: Table = text.parse().map_err(|e: toml::de::Error| {
            let place = place_of_error(name, text, &e);
            Error::config(format!("{place}: {}", in_plain_words(e.message())))
        })?;
        refuse_unknown(&document, &KEYS, "", places)?;
        let overrides = tables(&mut document, "override", places)?.into_iter().enumerate();
        Ok(Self {
            seeds: document.remove("seeds"),
            fixed: table(&mut document, "fixed", "", places)?.unwrap_or_default(),
            grid: table(&mut document, "grid", "", places)?.unwrap_or_default(),
            variants: tables(&mut document, "variant", places)?,
            includes: tables(&mut document, "include", places)?,
            excludes: tables(&mut document, "exclude", places)?,
            overrides: overrides.map(|(i, table)| Override::read(table, i, places)).collect::<Result<_>>()?,
        })
    }
}

impl Override {
    fn read(mut found: Table, number: usize, places: &Places) -> Result<Self> {
        let path = format!("override.{number}.");
        refuse_unknown(&found, &["when", "set"], &path, places)?;
        let mut part = |key: &str| {
            let missing = || {
                let place = places.line(path.trim_end_matches('.'));
                Error::config(format!(
                    "{place}: `{key}` is missing: an [[override]] has `when = {{ ... }}` and `set = {{ ... }}`"
                ))
            };
            table(&mut found, key, &path, places)?.ok_or_else(missing)
        };
        Ok(Self { when: part("when")?, set: part("set")? })
    }
}

/// Refuses a key of the table at `path` that is none of those `known`.
fn refuse_unknown(table: &Table, known: &[&str], path: &str, places: &Places) -> Result<()> {
    let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let (place, near) = (places.line(&format!("{path}{key}")), closest(key, known));
    let is_setting = path.is_empty() && (is_known(key) || norm::find(key).is_ok());
    let hint = if is_setting { "\nhint: settings of runs belong under [fixed], [grid] or [[variant]]" } else { "" };
    let known = known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    Err(Error::config(format!("{place}: unknown key `{key}`{near}; expected one of {known}{hint}")))
}

/// The table `key`, taken out of the one at `path`.
fn table(document: &mut Table, key: &str, path: &str, places: &Places) -> Result<Option<Table>> {
    match document.remove(key) {
        None => Ok(None),
        Some(Value::Table(found)) => Ok(Some(found)),
        Some(_) => {
            let place = places.line(&format!("{path}{key}"));
            Err(Error::config(format!("{place}: `{key}`: expected a table of settings")))
        }
    }
}

/// The tables `[[key]]`.
fn tables(document: &mut Table, key: &str, places: &Places) -> Result<Vec<Table>> {
    let found = match document.remove(key) {
        None => return Ok(vec![]),
        Some(Value::Array(list)) => list.into_iter().map(|item| item.try_into().ok()).collect::<Option<Vec<_>>>(),
        Some(_) => None,
    };
    found.ok_or_else(|| {
        let place = places.line(key);
        Error::config(format!("{place}: `{key}`: expected tables in double brackets, [[{key}]]"))
    })
}
