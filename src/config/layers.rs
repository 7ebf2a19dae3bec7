//! Layers of settings: defaults, then a file, then `--set`, then flags; each value remembers where it was written.

use std::path::Path;

use toml::{Table, Value};

use super::Config;
use super::keys::check;
use super::messages::in_plain_words;
use super::text::{Places, parse_value, place_of_error};
use crate::norm::{self, NORMS};
use crate::train::optimizer;
use crate::{Error, Result};

/// Settings on top of the defaults, in the order in which they were added: a later one wins.
///
/// ```
/// # fn main() -> mbn::Result<()> {
/// let config = mbn::config::Layers::new().set("batch_size=4")?.set("lr=0.05")?.build()?;
/// assert_eq!(config.batch_size, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Layers(Vec<Entry>);

/// One value and the place it comes from.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The normalizer whose parameter this is; none for the run's own settings.
    pub(super) section: Option<&'static norm::Kind>,
    pub(super) key: String,
    pub(super) value: Value,
    /// `file:line`, `--set key=value` or `--flag`.
    pub(super) origin: String,
}

impl Entry {
    fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::config(format!("{}: {what}", self.origin))
    }

    fn table(&self) -> Table {
        Table::from_iter([(self.key.clone(), self.value.clone())])
    }

    /// `lr`, or `mbn.size` for a parameter.
    pub(super) fn path(&self) -> String {
        self.section.map_or_else(|| self.key.clone(), |kind| format!("{}.{}", kind.name, self.key))
    }
}

impl Layers {
    /// The defaults alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the settings of a TOML file.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML; the message gives file and line.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        self.text(&path.display().to_string(), &crate::text::read(path, "configuration")?)
    }

    /// Adds the settings of TOML in `bytes`; errors call it `name`.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn bytes(self, name: &str, bytes: Vec<u8>) -> Result<Self> {
        let text = crate::text::decode(bytes).map_err(|why| Error::config(format!("{name} {why}")))?;
        self.text(name, &text)
    }

    /// Adds the settings of TOML `text`; errors call it `name`.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn text(self, name: &str, text: &str) -> Result<Self> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| {
            Error::config(format!("{}: {}", place_of_error(name, text, &e), in_plain_words(e.message())))
        })?;
        let places = Places::of(name, text);
        Ok(self.table(table, |path| places.line(path)))
    }

    /// Adds the settings of a table; `origin` gives the place of each by its key (`mbn.size` for a parameter).
    pub(crate) fn table(mut self, table: Table, origin: impl Fn(&str) -> String) -> Self {
        for (key, value) in table {
            self.push(key, value, &origin);
        }
        self
    }

    /// Adds one `key=value`: the key dotted for a normalizer's parameter (`mbn.size=16`), the value as in TOML, where a
    /// bare word is a string.
    ///
    /// # Errors
    /// There is no `=`, or the value is not one TOML value.
    pub fn set(mut self, assignment: &str) -> Result<Self> {
        let origin = format!("--set {assignment}");
        let (key, text) = assignment
            .split_once('=')
            .ok_or_else(|| Error::config(format!("{origin}: expected KEY=VALUE, such as `--set mbn.size=16`")))?;
        let value = parse_value(text.trim()).map_err(|why| Error::config(format!("{origin}: {why}")))?;
        let (key, value) = match key.trim().split_once('.') {
            Some((section, param)) => (section, Table::from_iter([(param.to_string(), value)]).into()),
            None => (key.trim(), value),
        };
        self.push(key.to_string(), value, |_| origin.clone());
        Ok(self)
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that were given, `mbn.size` for a parameter, each with its place.
    pub(crate) fn given(&self) -> impl Iterator<Item = (String, &str)> {
        self.0.iter().map(|entry| (entry.path(), entry.origin.as_str()))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// Adds the settings of `others`, which override these.
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Adds settings given as flags, which are named like the keys with `-` for `_`.
    pub fn flags(self, table: Table) -> Self {
        self.table(table, |path| format!("--{}", path.replace('_', "-")))
    }

    /// Adds settings that flags such as `--no-gap` set to false.
    pub fn negated_flags(self, keys: &[&str]) -> Self {
        let table = keys.iter().map(|key| (key.to_string(), false.into())).collect();
        self.table(table, |path| format!("--no-{path}"))
    }

    fn push(&mut self, key: String, value: Value, origin: impl Fn(&str) -> String) {
        match (NORMS.iter().find(|kind| kind.name == key), value) {
            (Some(kind), Value::Table(params)) => self.0.extend(params.into_iter().map(|(param, value)| Entry {
                section: Some(kind),
                origin: origin(&format!("{key}.{param}")),
                key: param,
                value,
            })),
            (_, value) => self.0.push(Entry { section: None, origin: origin(&key), key, value }),
        }
    }

    /// The merged settings, not yet checked against each other (see [`Config::validate`]). Where `optimizer` is given
    /// without `lr`, `lr` is the default of that optimizer.
    ///
    /// # Errors
    /// An unknown key or a value of the wrong type, with its place, what is accepted and the closest spelling.
    pub fn build(&self) -> Result<Config> {
        let mut merged = Table::new();
        for entry in self.0.iter().filter(|entry| entry.section.is_none()) {
            check(&entry.key, &entry.value).map_err(|why| entry.error(why))?;
            merged.insert(entry.key.clone(), entry.value.clone());
        }
        if let (false, Some(Value::String(name))) = (merged.contains_key("lr"), merged.get("optimizer")) {
            let own = optimizer::find(name).map(|kind| kind.lr.into());
            own.into_iter().for_each(|lr: Value| drop(merged.insert("lr".into(), lr)));
        }
        let mut config: Config = merged.try_into().map_err(|e: toml::de::Error| Error::config(e.message()))?;
        for kind in NORMS {
            let params = self.params_of(kind)?;
            if norm::find(&config.norm).is_ok_and(|chosen| chosen.name == kind.name) {
                config.norm_params = params;
            }
        }
        Ok(config)
    }

    /// The merged settings, checked and completed: [`Layers::build`], then [`Config::resolve`].
    ///
    /// # Errors
    /// Anything unknown, of the wrong type, out of range or contradictory.
    pub fn resolve(&self) -> Result<Config> {
        self.build()?.resolve().map_err(|error| match self.place_of(&error) {
            Some(place) => Error::config(format!("{place}: {error}")),
            None => error,
        })
    }

    /// The place of the setting that causes this error by itself; none where only several together do.
    pub(crate) fn place_of(&self, error: &Error) -> Option<&str> {
        let alone = |entry: &&Entry| Self(vec![(*entry).clone()]).build().and_then(Config::resolve).err();
        let same = |entry: &&Entry| alone(entry).is_some_and(|found| found.is_same_mistake(error));
        self.0.iter().rev().find(same).map(|entry| entry.origin.as_str())
    }

    /// The parameters given for one normalizer, checked whether or not it is the chosen one.
    fn params_of(&self, kind: &'static norm::Kind) -> Result<Table> {
        let entries = || self.0.iter().filter(|entry| entry.section.is_some_and(|section| section.name == kind.name));
        let params = Table::from_iter(entries().map(|entry| (entry.key.clone(), entry.value.clone())));
        let Err(together) = kind.resolve(&params) else { return Ok(params) };
        // Blame the entry that is wrong by itself; parameters that only contradict each other share the last one's place.
        for entry in entries() {
            if let Err(alone) = kind.resolve(&entry.table()) {
                return Err(entry.error(format_args!("`{}.{}`: {}", kind.name, entry.key, parameter_words(&alone))));
            }
        }
        Err(match entries().next_back() {
            Some(entry) => entry.error(together),
            None => together,
        })
    }
}

/// What is wrong with a parameter in plain words, without the normalizer's name.
fn parameter_words(error: &Error) -> String {
    match error {
        Error::Parameter { reason, .. } => in_plain_words(reason.lines().next().unwrap_or_default()),
        other => other.to_string(),
    }
}
