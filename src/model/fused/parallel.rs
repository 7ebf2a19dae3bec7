//! Work shared among threads, where it is worth sharing.
//!
//! Who does it depends on estimates from shapes; how it is cut and added up never does.

use std::cell::Cell;

use rayon::prelude::*;

/// Multiplications, with an addition each, for which a second thread is asked if it is awake: half a microsecond.
const WORTH_SHARING: usize = 1 << 15;

/// Multiplications of a pass for which a second thread is woken: with fewer, it falls asleep between two tasks, and
/// waking it costs more than it does.
const WORTH_WAKING: usize = 6 << 20;

/// Multiplications that take as long as reading and writing a value that lies in the cache.
const VALUE: usize = 16;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// How much there is to do.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// So many multiplications with an addition each.
    Multiplications(usize),
    /// Something with each of so many values.
    Values(usize),
}

/// Calls `f` with each task and its number; on several threads if there are, the [pass](pass) has use for them and `work`
/// is worth it.
pub fn parallel<W: Send>(work: Work, tasks: Vec<W>, f: impl Fn(usize, W) + Send + Sync) {
    let multiplications = match work {
        Work::Multiplications(count) => count,
        Work::Values(count) => count * VALUE,
    };
    let alone = tasks.len() < 2 || multiplications < WORTH_SHARING || ALONE.get();
    if alone || rayon::current_num_threads() == 1 {
        tasks.into_iter().enumerate().for_each(|(i, task)| f(i, task));
    } else {
        tasks.into_par_iter().enumerate().for_each(|(i, task)| f(i, task));
    }
}

/// Runs a pass through a network of so many multiplications; a small one on this thread alone.
pub fn pass<R>(multiplications: usize, body: impl FnOnce() -> R) -> R {
    let before = ALONE.replace(multiplications < WORTH_WAKING);
    let result = body();
    ALONE.set(before);
    result
}
