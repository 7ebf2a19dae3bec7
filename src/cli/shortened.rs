//! A data file that another program cuts short while it is in use ends the program with a message and exit code 1: the
//! file is mapped, and the system's answer to reading what is gone is a signal.

/// Says so from now on.
pub fn explain() {
    #[cfg(unix)]
    // SAFETY: the handler calls nothing but what may be called from one.
    unsafe {
        libc::signal(libc::SIGBUS, on_bus_error as *const () as libc::sighandler_t);
    }
}

#[cfg(unix)]
extern "C" fn on_bus_error(_: libc::c_int) {
    const TEXT: &str = "\nerror: bus error: most likely a data file was cut short, or its disk failed, while it was in use\n\
                        hint: once the file is whole again, the same command goes on from the last checkpoint\n";
    // SAFETY: `write` reads the text alone, and `_exit` ends the process; both may be called from a signal handler.
    unsafe {
        libc::write(libc::STDERR_FILENO, TEXT.as_ptr().cast(), TEXT.len());
        libc::_exit(1)
    }
}
