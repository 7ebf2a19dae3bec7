//! `mbn eval`: checkpoints of this program and of others, and what it refuses to score.

mod checkpoints;
mod estimates;
mod evalnorm;
mod noise;
mod numbers;
mod settings;
mod support;
mod weighing;
