//! From a collection of runs to the report: means and intervals, tables, charts, one HTML page.

mod by_size;
mod captions;
mod charts;
mod compare;
mod curves;
mod document;
mod files;
mod formats;
mod grid;
mod group;
mod horizontal;
mod html;
mod judge;
mod labels;
mod metric;
mod options;
mod origin;
mod range;
mod remarks;
mod svg;
mod written;

pub use crate::stats::{Sample, t_quantile, welch};
pub use curves::CurveX;
pub use document::{Comparison, MethodScore, Pair, Section, Table, UnscoredRun};
pub use files::{TidyRow, tidy, tidy_csv, write};
pub use grid::{Grid, apart, differences, legend, overview, scores};
pub use group::Group;
pub use horizontal::BatchSizeAxis;
pub use metric::Metric;
pub use options::CompareOptions;
