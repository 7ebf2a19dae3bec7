//! Memorized Batch Normalization with Double-Forward, on candle.
//!
//! Data flows one way: configuration, data, batches, model (with its normalizers), step, records, report.

pub mod config;
pub mod data;
mod error;
mod guarded;
mod lookup;
pub mod model;
pub mod norm;
pub mod ops;
pub mod record;
pub mod rng;
pub mod run;
pub mod train;

pub use error::{Error, Result};
