//! Stands in for the hub where the program is built without it.

use std::path::PathBuf;

use crate::data::{HubSet, Images, Kind, Source};
use crate::{Error, Result};

const REASON: &str = "this program was built without the hub feature, so it cannot download data";

pub(super) fn download(_: &HubSet, _: &Source) -> std::result::Result<[PathBuf; 2], String> {
    Err(REASON.into())
}

pub(super) fn read(kind: &Kind, _: &HubSet, _: &[PathBuf; 2]) -> Result<[Images; 2]> {
    Err(Error::data(kind.name, REASON))
}
