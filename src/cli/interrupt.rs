//! Ctrl-C in two stages: finish the step and save, then leave at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{exit::INTERRUPTED, output};

static STOP: AtomicBool = AtomicBool::new(false);

/// As [`install_silently`], and says on the first signal what it does.
///
/// # Errors
/// The system takes no handler.
pub fn install() -> anyhow::Result<&'static AtomicBool> {
    handle(|| output::note("\ninterrupted: finishing this step and saving it; once more to stop without saving"))
}

/// Installs the handler (also for SIGTERM and SIGHUP). The flag it returns is set by the first signal; the second ends
/// the process with exit code 130.
///
/// # Errors
/// The system takes no handler.
pub fn install_silently() -> anyhow::Result<&'static AtomicBool> {
    handle(|| {})
}

fn handle(first: fn()) -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(move || {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        first();
    })?;
    Ok(&STOP)
}
