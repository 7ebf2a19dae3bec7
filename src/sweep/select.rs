//! Parts of a sweep, for queues that hand them out.

use std::str::FromStr;

use crate::{Error, Result};

/// Part `part` of `parts`: every `parts`-th run, so that each part has its share of the slow ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 1.
    pub part: usize,
    /// Number of parts.
    pub parts: usize,
}

impl Shard {
    /// The positions (from 0) of its runs among `count` runs.
    pub fn of(self, count: usize) -> impl Iterator<Item = usize> {
        (self.part - 1..count).step_by(self.parts)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
        match parsed {
            Some((part, parts)) if 1 <= part && part <= parts => Ok(Self { part, parts }),
            _ => Err(Error::config(format!("shard `{text}`: expected M/N with 1 <= M <= N, such as 2/8"))),
        }
    }
}
