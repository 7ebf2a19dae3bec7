//! Sweeps: their files, how their runs are done, and what they survive.

mod damage;
mod existing;
mod figures;
mod file;
mod kills;
mod records;
mod refusals;
mod running;
mod support;
