//! Ctrl-C in two stages: the first finishes the step and saves, the second exits at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{exit::INTERRUPTED, output};

static STOP: AtomicBool = AtomicBool::new(false);

/// What is said on the first and on the second signal, if anything.
pub type Words = [Option<&'static str>; 2];

/// Installs the handler (also for SIGTERM and SIGHUP). The flag it returns is set by the first signal; the second ends
/// the process with exit code 130. Signals that were ignored when the program started, as SIGHUP under `nohup`, stay so.
///
/// # Errors
/// The handler cannot be installed.
pub fn install([first, second]: Words) -> anyhow::Result<&'static AtomicBool> {
    handle(move || {
        let again = STOP.swap(true, Ordering::SeqCst);
        let words = if again { second } else { first };
        words.into_iter().for_each(output::note);
        if again {
            std::process::exit(INTERRUPTED.into());
        }
    })?;
    Ok(&STOP)
}

/// For commands that have nothing to save: the first of these signals ends the process with exit code 130.
///
/// # Errors
/// The handler cannot be installed.
pub fn install_exit() -> anyhow::Result<()> {
    handle(|| std::process::exit(INTERRUPTED.into()))
}

fn handle(act: impl FnMut() + Send + 'static) -> anyhow::Result<()> {
    let ignored = inherited::ignored();
    ctrlc::set_handler(act).map_err(|error| match error {
        ctrlc::Error::System(cause) => anyhow::Error::new(cause).context(
            "the thread that listens for Ctrl-C could not be started: too many processes or threads (see ulimit -u)",
        ),
        other => other.into(),
    })?;
    inherited::ignore(&ignored);
    Ok(())
}

#[cfg(unix)]
mod inherited {
    use std::mem::MaybeUninit;
    use std::ptr;

    use libc::{SIG_IGN, SIGHUP, SIGINT, SIGTERM, c_int};

    /// Those of the handled signals that are ignored now.
    pub fn ignored() -> Vec<c_int> {
        let is_ignored = |signal: &c_int| {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: without a new action, the call only writes the current one, for which there is room.
            let known = unsafe { libc::sigaction(*signal, ptr::null(), action.as_mut_ptr()) } == 0;
            // SAFETY: it was written, or is all zeros, which is a valid `sigaction`.
            known && unsafe { action.assume_init() }.sa_sigaction == SIG_IGN
        };
        [SIGHUP, SIGINT, SIGTERM].into_iter().filter(is_ignored).collect()
    }

    /// Ignores `signals`.
    pub fn ignore(signals: &[c_int]) {
        for signal in signals {
            // SAFETY: this installs no handler, and the signals are valid.
            unsafe { libc::signal(*signal, SIG_IGN) };
        }
    }
}

#[cfg(not(unix))]
mod inherited {
    /// Elsewhere, ignored signals are not inherited.
    pub fn ignored() {}

    pub fn ignore((): &()) {}
}
