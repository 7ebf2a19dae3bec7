//! Files that may be gzip-compressed, whatever their names say.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use crate::data::{Bytes, folder};
use crate::{Error, Result};

/// No deflate stream expands by more than this factor.
const MAX_EXPANSION: u64 = 1032;

/// Layers of compression that are undone: files are sometimes compressed twice by accident.
const MAX_LAYERS: usize = 2;

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The decompressed contents of a file.
pub(super) struct Contents {
    /// The bytes.
    pub(super) reader: Box<dyn BufRead>,
    /// Upper bound on the decompressed size, from the size of the file.
    pub(super) bound: u64,
    /// The file, if it is not compressed.
    plain: Option<File>,
    path: PathBuf,
}

impl Contents {
    /// What follows the first `offset` bytes, which have been read, at most `limit` bytes: mapped if the file is not
    /// compressed, else in memory.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub(super) fn rest(self, offset: u64, limit: u64) -> Result<Bytes> {
        let mapped = self.plain.and_then(|file| Bytes::map(file, &self.path, offset, limit).ok());
        let read = || {
            let mut bytes = Vec::new();
            self.reader.take(limit).read_to_end(&mut bytes).map_err(|error| damaged(&self.path, &error))?;
            Ok(bytes.into())
        };
        mapped.map_or_else(read, Ok)
    }
}

/// Opens a file that must not be empty; compression is recognized by the first bytes.
///
/// # Errors
/// Not a file, an empty one, or one that may not be read.
pub(super) fn open(path: &Path) -> Result<Contents> {
    let mut bound = folder::file_length(path)?;
    let refused = |error| folder::refused(path, error);
    let file = File::open(path).map_err(refused)?;
    let mut plain = file.try_clone().ok();
    let mut reader: Box<dyn BufRead> = Box::new(BufReader::with_capacity(1 << 16, file));
    for layer in 0..=MAX_LAYERS {
        let mut head = Vec::new();
        reader.by_ref().take(MAGIC.len() as u64).read_to_end(&mut head).map_err(|error| damaged(path, &error))?;
        let compressed = head == MAGIC && layer < MAX_LAYERS;
        reader = Box::new(Cursor::new(head).chain(reader));
        if !compressed {
            break;
        }
        reader = Box::new(BufReader::with_capacity(1 << 16, Members { decoder: Some(GzDecoder::new(reader)) }));
        bound = bound.saturating_mul(MAX_EXPANSION);
        plain = None;
    }
    Ok(Contents { reader, bound, plain, path: path.to_path_buf() })
}

/// The error for a file that cannot be read to its end.
pub(super) fn damaged(path: &Path, error: &io::Error) -> Error {
    Error::data(path, format!("truncated or corrupt: {error}; download the file again"))
}

/// The members of a gzip file one after the other. Zeros after them, which tapes and some copying programs add, are
/// ignored, as by `gzip` itself.
struct Members<R> {
    decoder: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let rest = self.decoder.take().map(GzDecoder::into_inner);
            self.decoder = rest.map(next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

fn next_member<R: BufRead>(mut rest: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let bytes = rest.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        match bytes.get(zeros) {
            Some(byte) if *byte == MAGIC[0] => break,
            Some(_) => {
                let why = "what follows the compressed data is neither gzip nor zeros";
                return Err(io::Error::new(ErrorKind::InvalidData, why));
            }
            None if zeros == 0 => return Ok(None),
            None => rest.consume(zeros),
        }
    }
    let zeros = rest.fill_buf()?.iter().take_while(|byte| **byte == 0).count();
    rest.consume(zeros);
    Ok(Some(GzDecoder::new(rest)))
}
