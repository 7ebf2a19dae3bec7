//! Why a normalizer refuses.

use candle_core::{Error, Shape};

/// A normalizer's refusal; reaches the caller wrapped in `candle_core::Error`, as layers return it.
#[derive(Debug, thiserror::Error)]
pub enum NormError {
    /// The variance of a single value per channel says nothing.
    #[error(
        "{layer}: {ONE_VALUE} (input {shape:?}), so its variance is 0 and the output says nothing about the input; \
         use a larger normalization batch, `mbn` with pool = \"total\", or a normalizer without batch statistics (`gn`)"
    )]
    OneValue {
        /// The layer, by its path.
        layer: String,
        /// The input.
        shape: Shape,
    },
    /// A choice of parameters that is undefined for one value per channel.
    #[error("{layer}: {ONE_VALUE} (input {shape:?}), for which {choice} is undefined: {instead}")]
    Undefined {
        /// The layer, by its path.
        layer: String,
        /// The input.
        shape: Shape,
        /// The parameter and its value.
        choice: &'static str,
        /// Why, and what to use instead.
        instead: &'static str,
    },
    /// The variance of a group of a single value says nothing.
    #[error(
        "{layer}: {ONE_VALUE_PER_GROUP} (input {shape:?}), so its variance is 0 and the output says nothing about the \
         input; use larger groups (`gn`, `ln`), or keep the normalizer away from single values"
    )]
    OneValuePerGroup {
        /// The layer, by its path.
        layer: String,
        /// The input.
        shape: Shape,
    },
    /// A refresh of a batch that is no longer, or not yet, remembered.
    #[error("{layer}: cannot refresh the batch of {age} training passes ago, {remembered} are remembered")]
    NothingToRefresh {
        /// The layer, by its path.
        layer: String,
        /// The age asked for.
        age: usize,
        /// Batches that could be refreshed.
        remembered: usize,
    },
    /// Not (N,C,H,W) or (N,C) with the layer's number of channels, or nothing in it.
    #[error("{layer}: expected a non-empty (N,{features}) or (N,{features},H,W) input, got {shape:?}")]
    Shape {
        /// The layer, by its path.
        layer: String,
        /// Its channels.
        features: usize,
        /// The input.
        shape: Shape,
    },
}

const ONE_VALUE: &str = "the batch holds one value per channel";
const ONE_VALUE_PER_GROUP: &str = "a group of channels holds one value";

impl From<NormError> for Error {
    fn from(error: NormError) -> Self {
        Error::wrap(error)
    }
}

/// Whether `error` says that statistics are undefined for the batch (one value per channel, or per group), however it was
/// wrapped on its way.
pub fn is_undefined(error: &Error) -> bool {
    let text = error.to_string();
    text.contains(ONE_VALUE) || text.contains(ONE_VALUE_PER_GROUP)
}
