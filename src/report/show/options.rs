//! The options of a comparison.

use super::metric::Metric;
use crate::record::{Split, Stats};

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// The metric of the first table.
    pub metric: Metric,
    /// The split to compare scores on; by default the test split, else the validation split.
    pub split: Option<Split>,
    /// The statistics to compare scores under; by default each method's own rule.
    pub stats: Option<Stats>,
    /// Settings that distinguish methods; by default the label, else all that differ.
    pub by: Vec<String>,
    /// The method that others are compared with; by default plain `bn`.
    pub baseline: Option<String>,
    /// Whether a diverged run counts at chance level.
    pub diverged_as_chance: bool,
}

impl Default for CompareOptions {
    fn default() -> Self {
        let (split, stats, baseline) = (None, None, None);
        Self { metric: Metric::Accuracy, split, stats, by: vec![], baseline, diverged_as_chance: false }
    }
}
