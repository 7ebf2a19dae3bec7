//! Work shared among threads, where that pays off.
//!
//! The number of threads affects who does the work, never how it is cut and summed.

use std::cell::Cell;

use rayon::prelude::*;

/// Multiply-adds from which an awake second thread gets a share: half a microsecond's worth.
const WORTH_SHARING: usize = 1 << 15;

/// Multiply-adds of a pass from which a second thread is woken: with fewer, it falls asleep between two tasks, and waking it
/// costs more than it saves.
const WORTH_WAKING: usize = 6 << 20;

/// Multiply-adds that take as long as reading and writing a value in the cache.
const VALUE: usize = 16;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// How much there is to do.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Multiply-adds.
    Multiplications(usize),
    /// Values to read and write.
    Values(usize),
}

/// Calls `f` with each task and its number; on several threads if there are any, and the [pass](pass) and `work` are large
/// enough.
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

/// Runs a pass through a network of `multiplications`; a small one on this thread alone.
pub fn pass<R>(multiplications: usize, body: impl FnOnce() -> R) -> R {
    let before = ALONE.replace(multiplications < WORTH_WAKING);
    let result = body();
    ALONE.set(before);
    result
}
