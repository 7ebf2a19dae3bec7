//! The IDX format of MNIST: a magic number with the number of dimensions, the dimensions (big endian), the bytes.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// No deflate stream expands by more than this factor.
const MAX_EXPANSION: u64 = 1032;

/// The dimensions and bytes of an IDX file of `D` dimensions, gzip-compressed if its name ends in `.gz`.
///
/// Nothing is allocated on the word of the header: declared sizes are held against the file's size first.
///
/// # Errors
/// Not a file, a wrong magic number, or a size that is not the declared one.
pub(super) fn read<const D: usize>(path: &Path) -> Result<([usize; D], Vec<u8>)> {
    let length = file_length(path)?;
    let file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    if path.extension().is_some_and(|e| e == "gz") {
        parse(path, MultiGzDecoder::new(file), length.saturating_mul(MAX_EXPANSION))
    } else {
        parse(path, file, length)
    }
}

/// The size of a regular file, which must not be empty.
pub(super) fn file_length(path: &Path) -> Result<u64> {
    let meta = std::fs::metadata(path).map_err(Error::io(path))?;
    match meta.len() {
        _ if !meta.is_file() => Err(Error::data(path, "is a folder or device, not a file")),
        0 => Err(Error::data(path, "is empty")),
        length => Ok(length),
    }
}

fn parse<const D: usize>(path: &Path, mut reader: impl Read, bound: u64) -> Result<([usize; D], Vec<u8>)> {
    let broken = |e: std::io::Error| Error::data(path, format!("truncated or corrupt: {e}"));
    let mut word = || -> Result<u32> {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(broken)?;
        Ok(u32::from_be_bytes(bytes))
    };
    let (magic, expected) = (word()?, 0x0800 + D as u32);
    if magic != expected {
        return Err(Error::data(
            path,
            format!("not an IDX file of {D} dimensions of bytes: it begins with {magic:#010x}, not {expected:#010x}"),
        ));
    }
    let mut dims = [0; D];
    for dim in &mut dims {
        *dim = word()? as usize;
    }
    let declared = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
    let Some(declared) = declared.filter(|&d| d <= bound) else {
        return Err(Error::data(path, format!("declares {dims:?} bytes, more than a file of its size can hold")));
    };
    // One byte more than declared: to notice a surplus, and to reach the end, where gzip keeps its checksum.
    let mut bytes = Vec::new();
    reader.take(declared + 1).read_to_end(&mut bytes).map_err(broken)?;
    match (bytes.len() as u64).cmp(&declared) {
        std::cmp::Ordering::Equal => Ok((dims, bytes)),
        std::cmp::Ordering::Less => {
            Err(Error::data(path, format!("truncated: {} of the declared {declared} bytes", bytes.len())))
        }
        std::cmp::Ordering::Greater => Err(Error::data(path, format!("more bytes than the declared {declared}"))),
    }
}
