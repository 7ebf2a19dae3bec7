//! What a run's process tells the sweep that started it: one JSON document per line on its stdout.

use serde::{Deserialize, Serialize};

/// How the error begins with which a process ends that runs out of memory; it can no longer report an event.
pub const OUT_OF_MEMORY: &str = "out of memory";

/// One line of a run's process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// Progress of training.
    Step {
        /// Updates made.
        done: usize,
        /// Updates in all.
        total: usize,
        /// Loss, accuracy and speed, for display.
        text: String,
    },
    /// A note for the user.
    Note(String),
    /// The run is over; the last line.
    Over(Ending),
}

/// How a run's process ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The run is finished.
    Done,
    /// The run became non-finite.
    Diverged,
    /// An error stopped it.
    Failed(String),
    /// Another process is training it.
    Busy,
    /// It was told to save and stop.
    Stopped,
    /// The process died: killed, a crash.
    Died(String),
}

impl Event {
    /// The event as a line.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).map_or(String::new(), |json| format!("{json}\n"))
    }

    /// The event in a line; none if the line is something else, such as a message of the system.
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}
