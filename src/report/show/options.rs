//! What is compared, and how.

use super::metric::Metric;
use crate::record::{Split, Stats};

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// The metric of the first table.
    pub metric: Metric,
    /// The images that count; by default the test images, else those for validation.
    pub split: Option<Split>,
    /// The statistics that count; by default each method's own rule.
    pub stats: Option<Stats>,
    /// Settings that make a method; by default the label, else all that differ.
    pub by: Vec<String>,
    /// The method that others are compared with; by default plain `bn`.
    pub baseline: Option<String>,
    /// Count a diverged run as one that guesses.
    pub diverged_as_chance: bool,
}

impl Default for CompareOptions {
    fn default() -> Self {
        let (split, stats, baseline) = (None, None, None);
        Self { metric: Metric::Accuracy, split, stats, by: vec![], baseline, diverged_as_chance: false }
    }
}
