//! Data sets through the public interface: reading, refusing, splitting, batching.

mod archives;
mod batches;
mod files;
mod fixture;
mod generated;
#[cfg(feature = "hub")]
mod hub;
mod identity;
mod mapped;
mod near;
mod selection;
