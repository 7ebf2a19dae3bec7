//! Fused passes of networks on the CPU: a convolution with its normalizer, residual and ReLU is one operation, activations are
//! stored channels last, and only what a normalizer computes after its affine map goes through candle's graph.
//!
//! The same function as [`Unit::forward`](crate::model::units::Unit::forward), up to the order of additions. How work is cut
//! depends on shapes alone, so results are bit-identical for any number of threads.

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
    /// Images (N,C,H,W), then the outputs of the units.
    pub x: V,
    /// The pass it is part of.
    pub call: Call,
}
