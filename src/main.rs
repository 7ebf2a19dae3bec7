//! The program `mbn`: parses, calls the library, prints the error, sets the exit code.

mod cli;

use std::process::ExitCode;

/// A step allocates and frees the same megabytes over and over; glibc's allocator hands each back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
