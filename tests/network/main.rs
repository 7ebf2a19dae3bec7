//! Whole networks: gradients by finite differences, and identities of training steps.

mod design;
mod gradients;
mod steps;
mod support;
mod table;
