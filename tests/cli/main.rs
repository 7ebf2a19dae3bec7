//! The command line: what users do, and the messages they get.

mod bench;
mod help;
mod input;
mod results;
mod runs;
mod settings;
mod support;
