//! Signals that would end the program without a word.
//!
//! Data files are memory-mapped. Where another program truncates one while it is in use, reading the missing part raises
//! SIGBUS, which this turns into a message and exit code 1. A write beyond the limit on the size of files (`ulimit -f`)
//! raises SIGXFSZ; where that is ignored, the write fails like any other.

/// Installs the handlers.
pub fn install() {
    #[cfg(unix)]
    // SAFETY: the handler calls only functions that are safe in signal handlers, and the signals are valid.
    unsafe {
        libc::signal(libc::SIGBUS, on_bus_error as *const () as libc::sighandler_t);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

#[cfg(unix)]
extern "C" fn on_bus_error(_: libc::c_int) {
    const TEXT: &str = "\nerror: bus error: most likely a data file was truncated, or its disk failed, while it was in use\n\
                        hint: once the file is restored, the same command resumes from the last checkpoint\n";
    // SAFETY: `write` only reads the text, and `_exit` ends the process; both are safe in signal handlers.
    unsafe {
        libc::write(libc::STDERR_FILENO, TEXT.as_ptr().cast(), TEXT.len());
        libc::_exit(1)
    }
}
