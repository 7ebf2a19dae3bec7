//! The time of a step by operation, for `mbn bench --profile`. When it is off, an operation costs one load of a flag.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static ON: AtomicBool = AtomicBool::new(false);
static TIMES: Mutex<BTreeMap<&'static str, Duration>> = Mutex::new(BTreeMap::new());

/// Starts measuring, from zero.
pub fn start() {
    times().clear();
    ON.store(true, Ordering::Relaxed);
}

/// Stops measuring, and returns the time of each operation since [`start`], the longest first.
pub fn stop() -> Vec<(&'static str, Duration)> {
    ON.store(false, Ordering::Relaxed);
    let mut times: Vec<_> = std::mem::take(&mut *times()).into_iter().collect();
    times.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    times
}

/// Runs `body` and adds its time to `operation`. Operations must not nest.
pub fn timed<R>(operation: &'static str, body: impl FnOnce() -> R) -> R {
    if !ON.load(Ordering::Relaxed) {
        return body();
    }
    let begun = Instant::now();
    let result = body();
    *times().entry(operation).or_default() += begun.elapsed();
    result
}

fn times() -> std::sync::MutexGuard<'static, BTreeMap<&'static str, Duration>> {
    TIMES.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
