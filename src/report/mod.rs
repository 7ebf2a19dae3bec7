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
//! The evidence is the last epoch's, never the best epoch's; runs that are not over stand apart; diverged runs are
//! counted; different data sets, networks and lengths of training are never averaged.

mod read;
mod show;

pub use read::{Collection, FinalScore, Note, Point, Run, RunState, Series, collect};
pub use show::{
    CompareOptions, Comparison, CurveX, Grid, Group, MethodScore, Metric, Pair, Sample, Section, Table, TidyRow,
    UnscoredRun, X, apart, differences, legend, overview, scores, t_quantile, tidy, tidy_csv, welch, write,
};
