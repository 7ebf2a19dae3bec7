//! Comparing runs: from their folders or CSV files to tables, pictures and one page.
//!
//! ```no_run
//! use mbn::report::{collect, write, Comparison, CurveX, Options};
//!
//! # fn main() -> mbn::Result<()> {
//! let runs = collect(&["results/runs".into()])?;
//! let comparison = Comparison::new(runs, &Options::default())?;
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

mod cells;
mod collect;
mod compare;
mod curves;
mod document;
mod files;
mod folder;
mod formats;
mod grid;
mod group;
mod html;
mod judge;
mod labels;
mod merge;
mod metric;
mod notes;
mod pictures;
mod range;
mod remarks;
mod rows;
mod run;
mod settings;
mod sheet;
mod stats;
mod summaries;
mod svg;

pub use collect::{collect, Collection};
pub use compare::Options;
pub use curves::CurveX;
pub use document::{Apart, Cell, Comparison, Pair, Section, Table};
pub use files::{tidy, tidy_csv, write, TidyRow};
pub use grid::{apart, differences, legend, overview, scores, Grid};
pub use group::{Group, X};
pub use metric::Metric;
pub use notes::Note;
pub use run::{Point, Run, Series, State};
pub use stats::{t_quantile, welch, Sample};
