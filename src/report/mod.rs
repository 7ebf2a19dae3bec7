//! Comparing runs: from their folders or CSV files to tables, charts and one page.
//!
//! ```no_run
//! use mbn::report::{CompareOptions, Comparison, CurveX, collect, write};
//!
//! # fn main() -> mbn::Result<()> {
//! let runs = collect(&["results/runs".into()])?;
//! let comparison = Comparison::new(runs, &CompareOptions::default())?;
//! for note in &comparison.notes {
//!     eprintln!("{note}");
//! }
//! write(&comparison, CurveX::Epoch, "report".as_ref())?;
//! # Ok(())
//! # }
//! ```
//!
//! Scores are those of the last epoch, never of the best. Unfinished runs are listed apart, and diverged runs are counted.
//! Runs on different data sets, with different networks or of different lengths are never averaged.

mod read;
mod show;

pub use read::{Collection, FinalScore, Note, Point, Run, RunState, Series, collect};
pub use show::{
    BatchSizeAxis, CompareOptions, Comparison, CurveX, Grid, Group, MethodScore, Metric, Pair, Sample, Section, Table,
    TidyRow, UnscoredRun, apart, differences, legend, overview, scores, t_quantile, tidy, tidy_csv, welch, write,
};
