//! Runs through the built program: interrupted, resumed, repeated, diverged, evaluated.

mod refusals;
mod resume;
mod rows;
mod support;
