//! What users do at the command line, and what they read when it was wrong.

mod bench;
mod help;
mod input;
mod results;
mod runs;
mod settings;
mod support;
