//! The pool of CPU threads that compute.

use std::env;
use std::thread::available_parallelism;

use anyhow::Context;
use mbn::Error;

/// The environment variable that rayon, candle and its matrix products read.
pub const VARIABLE: &str = "RAYON_NUM_THREADS";

/// Starts the thread pool, with `count` threads if given, else with as many as the variable says.
///
/// # Errors
/// The variable is no such number; the threads cannot be started.
pub fn start(count: Option<u16>) -> anyhow::Result<()> {
    if let Some(count) = count {
        // SAFETY: called before any other thread exists that could read the environment.
        unsafe { env::set_var(VARIABLE, count.to_string()) };
    }
    // Empty or 0, as rayon has it: the number of cores.
    let text = env::var_os(VARIABLE).map_or_else(String::new, |text| text.to_string_lossy().into_owned());
    if !["", "0"].contains(&&*text) {
        super::positive(&text).map_err(|why| Error::config(format!("{VARIABLE}={text}: {why}")))?;
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
