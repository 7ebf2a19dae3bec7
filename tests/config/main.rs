//! Settings: their layers, their checks, and what the resolved configuration promises.

mod checks;
mod identity;
mod layers;
mod support;
