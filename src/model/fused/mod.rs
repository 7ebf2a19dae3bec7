//! Networks in passes of our own on the CPU: a convolution with its normalizer, residual and rectifier is one operation,
//! activations lie channels last, nothing goes through candle's graph but what a normalizer does behind its linear map.
//!
//! The same function as [`Unit::forward`](crate::model::units::Unit::forward), up to the order of additions. Work is cut into
//! pieces that depend on shapes alone, so results are the same bits for any number of threads.

pub(super) mod conv;
pub(super) mod linear;
mod map;
pub(super) mod norm;
pub(super) mod parallel;
pub(super) mod pool;
mod sizes;
mod workspace;

use crate::norm::Call;

pub use self::map::{Map, Piece};
pub use self::sizes::Sizes;
pub use self::workspace::{Buffer, Workspace};

/// A batch on its way through the network.
#[derive(Debug, Clone)]
pub struct PassInput<V> {
    /// Images (N,C,H,W), then what the units make of them.
    pub x: V,
    /// The pass it is part of.
    pub call: Call,
}
