//! Reads runs from folders and CSV files into one collection. Whatever is wrong with the files becomes a remark; nothing
//! is dropped silently.

mod cells;
mod collect;
mod columns;
mod folder;
mod identity;
mod merge;
mod notes;
mod rates;
mod rows;
mod run;
mod same;
pub(super) mod settings;
mod sheet;
mod summaries;

pub use collect::{Collection, collect};
pub use notes::Note;
pub(super) use notes::Notes;
pub use run::{FinalScore, Point, Run, RunState, Series};
