//! Normalizers against slow f64 references, finite differences and identities.

mod bnet;
mod cbn;
mod dyt;
mod estbn;
mod groups;
mod iebn;
mod mabn;
mod mbn;
mod online;
mod reference;
mod refusals;
mod remembered;
mod rivals;
mod support;
mod table;
