//! Exit codes and error messages.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use super::output;

/// How a command ended, when no error did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Exit code 0.
    Done,
    /// The run diverged: it has its records, but no usable network. Exit code 1.
    Diverged,
    /// A sweep with runs that failed or died. Exit code 1.
    Incomplete,
    /// Stopped by the user, resumable. Exit code 130.
    Interrupted,
}

/// The exit codes and what they mean, for help and manual pages.
pub const CODES: [(&str, &str); 4] = [
    ("0", "done"),
    ("1", "failed or diverged (sweep: runs failed or died)"),
    ("2", "wrong usage"),
    ("130", "interrupted"),
];

/// Exit code after Ctrl-C, as shells have it: 128 + SIGINT.
pub const INTERRUPTED: u8 = 130;

/// Prints help and version to stdout (code 0; 1 if that fails, except for a closed pipe), wrong usage to stderr (code 2),
/// as clap decides.
pub fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match printed.err().filter(|failure| failure.kind() != ErrorKind::BrokenPipe && !error.use_stderr()) {
        Some(failure) => report(Err(anyhow::Error::new(failure).context("stdout"))),
        None => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
    }
}

/// Prints the error, if there is one, and turns the end into an exit code.
pub fn report(result: anyhow::Result<End>) -> ExitCode {
    match result {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Diverged | End::Incomplete) => ExitCode::from(1),
        Ok(End::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            output::note(&format!("error: {}", message(&error)));
            let usage = error.downcast_ref::<mbn::Error>().is_some_and(mbn::Error::is_usage);
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// The error and its causes, each once: many messages already contain their cause's.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        let first = cause.lines().next().unwrap_or_default();
        if !text.contains(first) {
            text.push_str(&format!(": {first}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::message;

    #[test]
    fn causes_are_said_once() {
        let plain =
            Err::<(), _>(anyhow!("disk full\nstack backtrace: ...")).context("x.csv: cannot write").unwrap_err();
        assert_eq!(message(&plain), "x.csv: cannot write: disk full");
        let said = Err::<(), _>(anyhow!("disk full")).context("x.csv: disk full").unwrap_err();
        assert_eq!(message(&said), "x.csv: disk full");
    }
}
