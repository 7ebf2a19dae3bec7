//! The state of a run, from what is in its folder.

use std::path::Path;

use crate::record::{RunDir, Summary, read_summary};

/// The state of a run.
#[derive(Debug, Clone)]
pub enum State {
    /// It has no folder.
    New,
    /// Interrupted; it will be resumed from its checkpoint, if there is one.
    Interrupted,
    /// A process is training it.
    Running,
    /// It has a summary: done, diverged or failed.
    Over(Box<Summary>),
}

/// The state of the run in the folder `dir`. A summary that cannot be read counts as none: the run is resumed, and its
/// checkpoint leaves it little to do.
pub fn look(dir: &Path) -> State {
    match read_summary(dir) {
        Ok(Some(summary)) => State::Over(Box::new(summary)),
        _ if RunDir::is_busy(dir) => State::Running,
        _ if dir.exists() => State::Interrupted,
        _ => State::New,
    }
}
