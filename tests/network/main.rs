//! Whole networks: gradients by finite differences, and training steps with their identities.

mod design;
mod gradients;
mod steps;
mod support;
mod table;
