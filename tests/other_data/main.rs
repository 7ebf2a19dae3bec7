//! Runs and sweeps on different data under the same name: never mistaken for each other, and scored independently of the
//! order of a file.

mod changing;
mod identity;
mod order;
mod remarks;
mod support;
mod sweeps;
