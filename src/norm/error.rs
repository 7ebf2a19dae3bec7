//! Why a normalizer refuses.

use candle_core::{Error, Shape};

/// A normalizer's refusal. Layers return it inside a `candle_core::Error`; [`NormError::of`] takes it out again.
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

impl NormError {
    /// The refusal that `error` carries, beneath whatever context it gathered on its way.
    pub fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::WithBacktrace { inner, .. } | Error::Context { inner, .. } | Error::WithPath { inner, .. } => {
                Self::of(inner)
            }
            Error::WrappedContext { wrapped, .. } => match wrapped.downcast_ref() {
                Some(inner) => Self::of(inner),
                None => wrapped.downcast_ref(),
            },
            Error::Io(carrier) => carrier.get_ref()?.downcast_ref(),
            _ => None,
        }
    }

    /// Whether statistics are undefined for the input: one value per channel, or per group.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::OneValue { .. } | Self::Undefined { .. } | Self::OneValuePerGroup { .. })
    }
}

impl From<NormError> for Error {
    /// In an `Error::Io`, which has nothing to do with files here: of candle's variants it alone prints an error unchanged
    /// and keeps its type (`Error::Wrapped` keeps only its text).
    fn from(error: NormError) -> Self {
        Error::Io(std::io::Error::other(error)).bt()
    }
}

/// Whether `error` says that statistics are undefined for the batch ([`NormError::is_undefined`]).
pub fn is_undefined(error: &Error) -> bool {
    NormError::of(error).is_some_and(NormError::is_undefined)
}
