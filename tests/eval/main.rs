//! `mbn eval`: checkpoints of this program and of others, and refusals.

mod checkpoints;
mod estimates;
mod evalnorm;
mod noise;
mod numbers;
mod settings;
mod support;
mod weighing;
