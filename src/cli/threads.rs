//! The pool of CPU threads that compute.

use std::env;
use std::thread::available_parallelism;

use anyhow::Context;

/// The environment variable that rayon, candle and its matrix products read.
pub const VARIABLE: &str = "RAYON_NUM_THREADS";

/// Starts the thread pool, with `count` threads if given.
///
/// # Errors
/// The threads cannot be started.
pub fn start(count: Option<u16>) -> anyhow::Result<()> {
    if let Some(count) = count {
        // SAFETY: called before any other thread exists that could read the environment.
        unsafe { env::set_var(VARIABLE, count.to_string()) };
    }
    rayon::ThreadPoolBuilder::new().build_global().with_context(|| {
        let asked = env::var(VARIABLE).ok().and_then(|text| text.parse::<usize>().ok()).filter(|count| *count > 0);
        let count = asked.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
        format!(
            "cannot start {}: ask for fewer with --threads or {VARIABLE}, or raise the limit (ulimit -u, ulimit -v)",
            super::output::count(count, "thread")
        )
    })
}
