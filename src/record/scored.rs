//! What a score was measured on: the split and the statistics.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::lookup::lookup;
use crate::{Error, Result};

/// A split of the data set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The training images.
    #[default]
    Train,
    /// The validation split: training images set aside.
    Val,
    /// The test images.
    Test,
}

/// The statistics that normalize.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stats {
    /// MBN's rule: those pooled over the memory.
    #[default]
    Memory,
    /// The running average of batch statistics.
    Ema,
    /// Those of each image alone: methods without batch statistics have no others.
    Sample,
    /// Those re-estimated over training images.
    Precise,
    /// The method's own, mixed with those of each image (inference example weighing).
    Weighing,
    /// Re-estimated ones, mixed with those of each image as a training batch would (EvalNorm-style).
    Evalnorm,
    /// Those of each batch, of the normalization batch size.
    Batch,
}

impl Split {
    /// Every split.
    pub const ALL: &'static [Self] = &[Self::Train, Self::Val, Self::Test];

    /// Its name in files and commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl Stats {
    /// Every kind of statistics.
    pub const ALL: &'static [Self] =
        &[Self::Memory, Self::Ema, Self::Sample, Self::Precise, Self::Weighing, Self::Evalnorm, Self::Batch];

    /// Those that a trained network can be evaluated under in addition to its own.
    pub const POST_HOC: &'static [Self] = &[Self::Precise, Self::Weighing, Self::Evalnorm];

    /// Their name in files and commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Ema => "ema",
            Self::Sample => "sample",
            Self::Precise => "precise",
            Self::Weighing => "weighing",
            Self::Evalnorm => "evalnorm",
            Self::Batch => "batch",
        }
    }

    /// Whether they are never a method's own inference rule, but measured in addition to it.
    pub fn is_extra(self) -> bool {
        matches!(self, Self::Precise | Self::Weighing | Self::Evalnorm | Self::Batch)
    }

    /// Whether they are computed afresh, so that those in a checkpoint do not matter.
    pub fn is_re_estimated(self) -> bool {
        matches!(self, Self::Precise | Self::Evalnorm | Self::Batch)
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        lookup("split", text, Self::ALL, |split| split.name()).copied()
    }
}

impl FromStr for Stats {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        lookup("kind of statistics", text, Self::ALL, |stats| stats.name()).copied()
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
