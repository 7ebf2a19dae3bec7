//! What scripts rely on: files, columns, tensor names, and what the program refuses.

mod checkpoints;
mod hub;
mod records;
mod support;
