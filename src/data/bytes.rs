//! The bytes of a data file: owned, or memory-mapped, so that they are not copied and processes share them.

use std::fs::{File, Metadata};
use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use memmap2::{Mmap, MmapOptions};

use crate::{Error, Result};

/// Immutable bytes; clones share them.
#[derive(Debug, Clone)]
pub struct Bytes {
    store: Arc<Store>,
    range: Range<usize>,
}

#[derive(Debug)]
enum Store {
    Owned(Vec<u8>),
    Mapped(Mapped),
}

/// A mapped file, kept open, with its state at the time of mapping.
#[derive(Debug)]
struct Mapped {
    map: Mmap,
    file: File,
    path: PathBuf,
    stamp: Stamp,
}

/// Size and modification time of a file, which writing to it changes.
type Stamp = (u64, Option<SystemTime>);

fn stamp(meta: &Metadata) -> Stamp {
    (meta.len(), meta.modified().ok())
}

impl Bytes {
    /// At most `limit` bytes of a file from `offset` on, mapped.
    ///
    /// # Errors
    /// The system does not map such files.
    pub(super) fn map(file: File, path: &Path, offset: u64, limit: u64) -> io::Result<Self> {
        let stamp = stamp(&file.metadata()?);
        let too_long = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let length = usize::try_from(stamp.0).map_err(too_long)?;
        // SAFETY: the bytes are read only, and any byte is a pixel, so that a program that writes to the file meanwhile can
        // change images but not memory safety; `check_unchanged` detects it. If it truncates the file, reading the missing
        // part raises SIGBUS. Files of our own cache are never written to, only replaced.
        let map = unsafe { MmapOptions::new().len(length).map(&file)? };
        let start = length.min(usize::try_from(offset).map_err(too_long)?);
        let end = length.min(start.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)));
        let mapped = Mapped { map, file, path: path.to_path_buf(), stamp };
        Ok(Self { store: Arc::new(Store::Mapped(mapped)), range: start..end })
    }

    /// Checks that the file, if the bytes are mapped, has not been modified since.
    ///
    /// # Errors
    /// It has been modified.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let Store::Mapped(Mapped { file, path, stamp: then, .. }) = &*self.store else { return Ok(()) };
        match file.metadata().map(|meta| stamp(&meta) == *then) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::data(
                path,
                "was modified while in use; run the same command again to read the file as it is now",
            )),
            Err(error) => Err(Error::io(path)(error)),
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self { range: 0..bytes.len(), store: Arc::new(Store::Owned(bytes)) }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let whole = match &*self.store {
            Store::Owned(bytes) => bytes,
            Store::Mapped(Mapped { map, .. }) => &map[..],
        };
        &whole[self.range.clone()]
    }
}
