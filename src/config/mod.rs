//! Everything that determines a run, and its hash.

mod lookup;
mod schema;

pub(crate) use lookup::closest;
pub use lookup::lookup;
pub use schema::{Config, LrScaling, ScheduleKind};
