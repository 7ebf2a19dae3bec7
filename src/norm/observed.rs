//! A layer's last batch statistics, from which distribution shift is measured.

use std::sync::{Arc, Mutex};

use super::Moments;

/// What a layer saw in the last pass that took batch statistics.
#[derive(Debug, Clone)]
pub struct LayerObservation {
    /// The batch's own statistics (biased variance).
    pub batch: Moments,
    /// The statistics it was normalized with.
    pub used: Moments,
    /// Values per channel in that batch (N·H·W).
    pub count: usize,
}

/// The newest observation of a layer.
#[derive(Debug, Clone, Default)]
pub(super) struct Observation(Arc<Mutex<Option<LayerObservation>>>);

impl Observation {
    pub fn set(&self, batch: &Moments, used: &Moments, count: usize) {
        let seen = LayerObservation { batch: batch.clone(), used: used.clone(), count };
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(seen);
    }

    pub fn get(&self) -> Option<LayerObservation> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}
