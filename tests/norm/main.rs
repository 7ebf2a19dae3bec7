//! Normalizers against slow f64 references, finite differences and identities.

mod cbn;
mod mabn;
mod mbn;
mod reference;
mod refusals;
mod rivals;
mod support;
mod table;
