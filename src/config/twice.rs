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
        match self.twice(|_, _| true) {
            Some((first, again)) => {
                Err(Error::config(format!("`{}` is given twice: {}, {}", again.path(), first.origin, again.origin)))
            }
            None => Ok(()),
        }
    }

    /// Checks that no setting is given twice with different values.
    ///
    /// # Errors
    /// The first one that is, with both places.
    pub fn agree(&self) -> Result<()> {
        let number = |value: &Value| value.as_float().or(value.as_integer().map(|integer| integer as f64));
        let differ = |first: &Entry, again: &Entry| match (number(&first.value), number(&again.value)) {
            (Some(one), Some(other)) => one != other,
            _ => first.value != again.value,
        };
        match self.twice(differ) {
            Some((first, again)) => Err(Error::config(format!(
                "`{}` is given different values by {} and {}; leave out one of the two",
                again.path(),
                first.origin,
                again.origin
            ))),
            None => Ok(()),
        }
    }

    /// The first two entries of the same setting for which `wrong` holds.
    fn twice(&self, wrong: impl Fn(&Entry, &Entry) -> bool) -> Option<(&Entry, &Entry)> {
        self.entries().enumerate().find_map(|(i, again)| {
            let first = self.entries().take(i).find(|first| first.path() == again.path() && wrong(first, again))?;
            Some((first, again))
        })
    }
}
