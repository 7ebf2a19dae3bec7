//! Why a normalizer refuses an input.

use candle_core::{Error, Shape};

/// A normalizer's refusal. Layers return it inside a `candle_core::Error`; [`NormError::of`] takes it out again.
#[derive(Debug, thiserror::Error)]
pub enum NormError {
    /// One value per channel: its variance is 0 and the output does not depend on the input.
    #[error(
        "{layer}: {ONE_VALUE} (input {shape:?}), so its variance is 0 and the output does not depend on the input; \
         use a larger normalization batch, `mbn` with pool = \"total\", or a normalizer without batch statistics (`gn`)"
    )]
    OneValue {
        /// The layer, by its path.
        layer: String,
        /// The input.
        shape: Shape,
    },
    /// A parameter value that is undefined for one value per channel.
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
    /// A group of a single value: its variance is 0 and the output does not depend on the input.
    #[error(
        "{layer}: {ONE_VALUE_PER_GROUP} (input {shape:?}), so its variance is 0 and the output does not depend on the \
         input; use larger groups (`gn`, `ln`), or a network that normalizes larger maps"
    )]
    OneValuePerGroup {
        /// The layer, by its path.
        layer: String,
        /// The input.
        shape: Shape,
    },
    /// A refresh of a batch that is no longer, or not yet, remembered.
    #[error(
        "{layer}: cannot refresh the batch of {age} training passes ago: the newest {remembered} can be refreshed; \
         refresh after the training pass, and set `Progress::parts` to the batches of an update"
    )]
    NothingToRefresh {
        /// The layer, by its path.
        layer: String,
        /// The age asked for.
        age: usize,
        /// Batches that could be refreshed.
        remembered: usize,
    },
    /// An input that is empty, or not (N,C,H,W) or (N,C) with the layer's number of channels.
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
    /// The `NormError` inside `error`, under any context that was added to it.
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
