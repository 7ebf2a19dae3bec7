//! The allocator. Running out of memory ends the program with a message and exit code 1 instead of an abort.

use std::alloc::{GlobalAlloc, Layout};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use mbn::sweep::OUT_OF_MEMORY;
use mimalloc::MiMalloc;

/// The program's allocator. A step allocates and frees the same megabytes again and again: mimalloc keeps them, glibc
/// returns them to the system each time.
pub struct Allocator;

/// Lower bound on the memory of a training step in bytes; 0 before there is one.
static STEP: AtomicU64 = AtomicU64::new(0);

/// Sets the lower bound on the memory of a training step, for the out-of-memory message.
pub fn note_step(bytes: u64) {
    STEP.store(bytes, Ordering::Relaxed);
}

/// What the command can do about it.
static HINT: OnceLock<&str> = OnceLock::new();

/// Sets the options with which this command takes less memory, for the out-of-memory message.
pub fn note_hint(options: &'static str) {
    // It is set once, at the start.
    let _ = HINT.set(options);
}

// SAFETY: every call is forwarded to mimalloc unchanged; its null pointer for a failure is never returned.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, which is mimalloc's.
        given(unsafe { MiMalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { MiMalloc.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}

fn given(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        give_up(size);
    }
    block
}

/// Prints the size asked for and exits. Nothing here may allocate, and exit handlers, which may, do not run.
#[cold]
fn give_up(size: usize) -> ! {
    let mut text = [0; 300];
    let mut rest = &mut text[..];
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let step = STEP.load(Ordering::Relaxed);
    // A message that does not fit is cut off.
    let _ = write!(rest, "error: {OUT_OF_MEMORY}: the system refused another {} MiB", mib(size as u64));
    if step > 0 {
        let _ = write!(rest, "; a training step needs at least {} MiB in all", mib(step));
    }
    let hint = HINT.get().copied().unwrap_or_default();
    let _ = writeln!(rest, "\nhint: {hint}raise the limit (ulimit -v), or use a machine with more memory");
    let unused = rest.len();
    let _ = io::stderr().write_all(&text[..text.len() - unused]);
    leave()
}

#[cfg(unix)]
fn leave() -> ! {
    // SAFETY: it ends the process, and does nothing else.
    unsafe { libc::_exit(1) }
}

#[cfg(not(unix))]
fn leave() -> ! {
    std::process::exit(1)
}
