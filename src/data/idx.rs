//! The IDX format of MNIST: a magic number with the number of dimensions, the dimensions (big-endian), the bytes.

use std::cmp::Ordering;
use std::io::{Cursor, Read};
use std::path::Path;

use crate::data::{Bytes, gzip, magic};
use crate::{Error, Result};

/// Bytes by which other formats are recognized.
const HEAD: u64 = 32;

/// Bytes per number in the header.
const WORD: usize = 4;

/// The dimensions and bytes of an IDX file of `D` dimensions, compressed or not.
///
/// The header is not trusted: declared sizes are checked against the file's size before anything is allocated.
///
/// # Errors
/// Not a file, a wrong magic number, or a size that is not the declared one.
pub(super) fn read<const D: usize>(path: &Path) -> Result<([usize; D], Bytes)> {
    let mut file = gzip::open(path)?;
    let broken = |error| gzip::damaged(path, &error);
    let mut head = Vec::new();
    file.reader.by_ref().take(HEAD).read_to_end(&mut head).map_err(broken)?;
    let expected = [0, 0, 8, D as u8];
    if !head.starts_with(&expected) {
        let (what, s) = (magic::describe(&head), if D == 1 { "" } else { "s" });
        return Err(Error::data(path, format!("{what}; expected an IDX file of {D} dimension{s} of bytes")));
    }
    file.reader = Box::new(Cursor::new(head).chain(file.reader));
    let mut word = || -> Result<u32> {
        let mut bytes = [0; WORD];
        file.reader.read_exact(&mut bytes).map_err(broken)?;
        Ok(u32::from_be_bytes(bytes))
    };
    word()?;
    let mut dims = [0; D];
    for dim in &mut dims {
        *dim = word()? as usize;
    }
    let declared = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
    let Some(declared) = declared.filter(|&d| d <= file.bound) else {
        return Err(Error::data(
            path,
            format!(
                "declares {dims:?} bytes, more than a file of its size can hold: truncated, or not what its name says"
            ),
        ));
    };
    // One byte more than declared, to notice a surplus and to reach the end, where gzip keeps its checksum.
    let bytes = file.rest(((1 + D) * WORD) as u64, declared + 1)?;
    match (bytes.len() as u64).cmp(&declared) {
        Ordering::Equal => Ok((dims, bytes)),
        Ordering::Less => {
            let found = bytes.len();
            Err(Error::data(
                path,
                format!("truncated: {found} of the declared {declared} bytes; download the file again"),
            ))
        }
        Ordering::Greater => Err(Error::data(path, format!("more bytes than the declared {declared}"))),
    }
}
