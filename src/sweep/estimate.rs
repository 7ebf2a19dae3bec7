//! How long a run will take, from those that are finished.

use std::collections::HashMap;

use super::Job;
use crate::config::Config;
use crate::data;

/// Estimates the time of a run by the seconds per training image of the finished runs that resemble it most.
#[derive(Debug, Default)]
pub struct Estimate {
    /// By key: total seconds and total images.
    seen: HashMap<String, (f64, f64)>,
}

impl Estimate {
    /// Learns that the run took `seconds`.
    pub fn learn(&mut self, job: &Job, seconds: f64) {
        for key in keys(&job.config) {
            let (time, images) = self.seen.entry(key).or_default();
            (*time, *images) = (*time + seconds, *images + work(&job.config));
        }
    }

    /// The seconds the run will take, by the runs with the same settings and other seeds if there are any, else by those of
    /// the same network, normalizer and batch size, of the same network, or by all; none before a run has finished.
    pub fn seconds(&self, job: &Job) -> Option<f64> {
        let (time, images) = keys(&job.config).iter().find_map(|key| self.seen.get(key))?;
        Some(time / images * work(&job.config))
    }
}

/// Keys from the most to the least specific.
fn keys(c: &Config) -> [String; 4] {
    let network = format!("{} {}", c.dataset, c.model);
    let method = format!("{network} {} {} {} {}", c.norm, c.double_forward, c.batch_size, c.norm_batch_size);
    let measures = [c.precise, c.weighing, c.evalnorm, c.diagnostics];
    let alike = format!("{method} {} {} {measures:?}", c.norm_params, c.val_fraction);
    [alike, method, network, String::new()]
}

/// Images to train on in all, at least one.
fn work(config: &Config) -> f64 {
    let complete = data::find(&config.dataset).map_or(1, |kind| kind.counts[0]) as f64 * (1.0 - config.val_fraction);
    let limit = if config.train_limit == 0 { f64::INFINITY } else { config.train_limit as f64 };
    (complete.min(limit) * config.epochs as f64).max(1.0)
}
