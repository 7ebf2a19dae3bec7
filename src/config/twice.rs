//! Settings that are given more than once on one command line.

use toml::Value;

use super::layers::{Entry, Layers};
use crate::{Error, Result};

impl Layers {
    /// Checks that no setting is given twice.
    ///
    /// # Errors
    /// The first one that is, with both places.
    pub fn once(&self) -> Result<()> {
        match self.pairs().next() {
            Some((first, again)) => {
                Err(Error::config(format!("`{}` is given twice: {}, {}", again.path(), first.origin, again.origin)))
            }
            None => Ok(()),
        }
    }

    /// What is said of each setting that a later entry gives another value.
    pub fn overridden(&self) -> Vec<String> {
        let number = |value: &Value| value.as_float().or(value.as_integer().map(|integer| integer as f64));
        let differ = |first: &Entry, again: &Entry| match (number(&first.value), number(&again.value)) {
            (Some(one), Some(other)) => one != other,
            _ => first.value != again.value,
        };
        let pairs = self.pairs().filter(|(first, again)| differ(first, again));
        pairs.map(|(first, again)| format!("{} has no effect: {} overrides it", first.origin, again.origin)).collect()
    }

    /// Every two entries of the same setting.
    fn pairs(&self) -> impl Iterator<Item = (&Entry, &Entry)> {
        self.entries().enumerate().flat_map(|(i, again)| {
            let earlier = self.entries().take(i).filter(move |first| first.path() == again.path());
            earlier.map(move |first| (first, again))
        })
    }
}
