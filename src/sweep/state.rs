//! How far a run is, from what is in its folder.

use std::path::Path;

use crate::record::{RunDir, Summary, read_summary};

/// How far a run is.
#[derive(Debug, Clone)]
pub enum State {
    /// Nothing of it is there.
    New,
    /// Broken off; it is resumed from its checkpoint, if it had come to one.
    Begun,
    /// A process is at work on it.
    Busy,
    /// It has a summary: done, diverged or failed.
    Over(Box<Summary>),
}

/// How far the run in the folder `dir` is. A summary that cannot be read is none: the run is taken up again, and its
/// checkpoint says how little there is left to do.
pub fn look(dir: &Path) -> State {
    match read_summary(dir) {
        Ok(Some(summary)) => State::Over(Box::new(summary)),
        _ if RunDir::is_busy(dir) => State::Busy,
        _ if dir.exists() => State::Begun,
        _ => State::New,
    }
}
