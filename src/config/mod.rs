//! Everything that determines a run, its layers (defaults, file, `--set`, flags), its checks and its name.

mod device;
mod keys;
mod layers;
mod messages;
mod resolve;
mod schema;
mod text;
mod validate;

pub use device::DeviceName;
pub(crate) use keys::is_known;
pub use layers::Layers;
pub use schema::{Config, LrScaling, ScheduleKind};
pub(crate) use text::{line_of, Places};
