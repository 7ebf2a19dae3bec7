//! The library's error type. Messages say what is wrong, where, and what to do about it.

use std::path::{Path, PathBuf};

/// Result of the workbench's functions; layers and tensor operations return `candle_core::Result`, as candle's do.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that does not exist, has the wrong type or contradicts another one. A usage error: exit code 2.
    #[error("{0}")]
    Config(String),

    /// A normalizer's parameter that does not exist, has the wrong type or is out of range. Also a usage error.
    #[error("[{norm}] {reason}")]
    Parameter {
        /// The normalizer's name.
        norm: &'static str,
        /// Which parameter it is, and what is wrong with it.
        reason: String,
    },

    /// A data file that is missing, or whose contents are not what was expected.
    #[error("{path}: {reason}")]
    Data {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },

    /// A checkpoint or run folder that cannot be used.
    #[error("{path}: {reason}")]
    Checkpoint {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong with it: the tensor or field, and what to do.
        reason: String,
    },

    /// Another process is training into the folder.
    #[error("{path}: another process is training into this folder; wait for it or stop it, or choose another --out")]
    Busy {
        /// The run's folder.
        path: PathBuf,
    },

    /// An I/O error.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },

    /// The process of a sweep's run that the system does not start.
    #[error(
        "a run's process could not be started: {source}; use fewer --jobs or --threads, or raise the limits of processes \
         and threads (ulimit -u) and of open files (ulimit -n)"
    )]
    Process {
        /// The system's error.
        source: std::io::Error,
    },

    /// A device that this build or this machine does not have.
    #[error("device `{name}`: {reason}")]
    Device {
        /// The device asked for.
        name: String,
        /// Why it cannot be had and what to do.
        reason: String,
    },

    /// Training became non-finite.
    #[error("training diverged at step {step}: `{tensor}` is not finite; a smaller learning rate may help")]
    Diverged {
        /// The update, counted from 1.
        step: usize,
        /// The first tensor found to be non-finite, or the loss.
        tensor: String,
    },

    /// More memory than the machine has.
    #[error(
        "a step on {images} images takes at least {need} MiB of memory, this machine has {have} MiB; use a smaller \
         batch_size, or take statistics over parts of it (norm_batch_size)"
    )]
    Memory {
        /// Images of a step.
        images: usize,
        /// What the step takes at least, in MiB.
        need: u64,
        /// What there is, in MiB.
        have: u64,
    },

    /// Evaluation gave a non-finite result.
    #[error("{what} under {stats} statistics is not finite: the weights or images make numbers overflow")]
    NonFinite {
        /// The loss, or a layer's statistics.
        what: String,
        /// The statistics that the normalizers used.
        stats: String,
    },

    /// A tensor operation failed.
    #[error("{}", first_line(.0))]
    Tensor(#[from] candle_core::Error),
}

/// The message without the backtrace that candle appends when `RUST_BACKTRACE` is set.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}

impl Error {
    /// A usage error in a setting.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    /// A data file that cannot be used.
    pub fn data(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Data { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// A checkpoint that cannot be used.
    pub fn checkpoint(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// Attaches the path to an I/O error: `.map_err(Error::io(&path))`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// Whether both are the same mistake in a setting.
    pub(crate) fn is_same_mistake(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Config(one), Self::Config(another)) => one == another,
            (Self::Parameter { norm: a, reason: one }, Self::Parameter { norm: b, reason: another }) => {
                (a, one) == (b, another)
            }
            _ => false,
        }
    }

    /// Whether this is a usage error (exit code 2) rather than a failure (exit code 1).
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Parameter { .. })
    }
}
