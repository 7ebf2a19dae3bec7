//! What a run leaves on disk: rows of CSV, a summary, a log, all in one folder that one process writes at a time.
//!
//! Files are replaced whole and atomically ([`atomic::write`]); only the log is appended to.

pub mod atomic;
mod log;
mod metrics;
mod rows;
mod run_dir;
mod scored;
mod spread;
mod summary;

pub use metrics::{MetricRow, read_metrics};
pub(crate) use rows::csv_bytes;
pub use rows::{read_rows, write_rows};
pub use run_dir::{LAST, RunDir};
pub use scored::{Split, Stats};
pub use spread::{LayerSpread, by_layer, median_of_medians};
pub use summary::{Divergence, SplitScore, Status, Summary, commit, peak_memory_mib, read_finished, read_summary};
