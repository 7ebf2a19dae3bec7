//! Everything that determines a run, its layers (defaults, file, `--set`, flags), its checks and its name.

mod device;
mod effect;
mod keys;
mod layers;
mod messages;
mod resolve;
mod schema;
mod text;
mod twice;
mod validate;

pub use device::DeviceName;
pub(crate) use effect::MEASURES;
pub use effect::UnusedSetting;
pub(crate) use keys::is_known;
pub use layers::Layers;
pub(crate) use messages::in_plain_words;
pub(crate) use resolve::up_to_date;
pub use schema::{Config, LrScaling, ScheduleKind};
pub(crate) use text::{Places, place_of_error};
