//! What scripts rely on: files, columns, tensor names, and refusals.

mod checkpoints;
mod hub;
mod records;
mod support;
