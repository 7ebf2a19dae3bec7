//! Settings: their layers, their checks, and the guarantees of the resolved configuration.

mod checks;
mod identity;
mod layers;
mod support;
