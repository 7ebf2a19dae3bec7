//! Runs and sweeps on other data under the same name: never taken for each other, and never scored by how a file is
//! sorted.

mod changing;
mod identity;
mod order;
mod remarks;
mod support;
mod sweeps;
