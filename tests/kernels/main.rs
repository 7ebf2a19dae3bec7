//! The CPU's kernels and fused passes through the public API: every kernel on every instruction set against its
//! definition in f64, chains of units against plain operations and finite differences, bitwise equal results for any number
//! of threads, Double-Forward together with the next step, short trainings that agree.

mod bits;
mod bounds;
mod chain;
mod contract;
mod dot;
mod fence;
mod norm;
mod outer;
mod pooled;
mod slopes;
mod support;
mod tiles;
mod training;
mod transpose;
mod units;
mod update;
mod winograd;
