//! Unpacking a `.tar.gz` once, into the cache.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::read::MultiGzDecoder;

use crate::data::idx::file_length;
use crate::{Error, Result};

/// An archive may hold this much besides the files wanted of it.
const SLACK: u64 = 1 << 20;

/// The folder in `cache` that holds the files `wanted` of `archive`, unpacked now if they are not there yet.
///
/// Files are recognised by their last name alone and written under it, so no entry can land elsewhere. They are written
/// to a temporary folder that is then renamed: an interrupted or simultaneous unpacking does no harm. The folder's name
/// holds the archive's path, size and time, so a changed archive is unpacked anew.
///
/// # Errors
/// A corrupt or truncated archive, a wanted file that is missing, doubled or longer than `limit` bytes, or a cache that
/// cannot be written.
pub(super) fn unpack(archive: &Path, wanted: &[&str], limit: u64, cache: &Path) -> Result<PathBuf> {
    file_length(archive)?;
    let folder = cache.join("unpacked").join(key(archive)?);
    if folder.is_dir() {
        return Ok(folder);
    }
    let scratch = Scratch::new(&folder)?;
    extract(archive, wanted, limit, &scratch.0)?;
    match fs::rename(&scratch.0, &folder) {
        // Another process was faster: its files are as good.
        Err(_) if folder.is_dir() => Ok(folder),
        done => done.map(|()| folder.clone()).map_err(Error::io(&folder)),
    }
}

/// `<name>-<hash of path, size and modification time>`.
fn key(archive: &Path) -> Result<String> {
    let full = fs::canonicalize(archive).map_err(Error::io(archive))?;
    let meta = fs::metadata(&full).map_err(Error::io(archive))?;
    let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let identity = format!("{}\n{}\n{}", full.display(), meta.len(), modified.as_nanos());
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').next().unwrap_or_default();
    Ok(format!("{stem}-{}", &blake3::hash(identity.as_bytes()).to_hex()[..16]))
}

fn extract(archive: &Path, wanted: &[&str], limit: u64, target: &Path) -> Result<()> {
    let broken = |e: io::Error| Error::data(archive, format!("truncated or corrupt archive: {e}"));
    let file = BufReader::with_capacity(1 << 16, File::open(archive).map_err(Error::io(archive))?);
    let mut stream = MultiGzDecoder::new(file).take(limit * wanted.len() as u64 + SLACK);
    let mut entries = tar::Archive::new(&mut stream);
    for entry in entries.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let Some(name) = wanted.iter().find(|&&w| path.file_name().is_some_and(|f| f == w)) else { continue };
        if !entry.header().entry_type().is_file() || entry.size() > limit {
            return Err(Error::data(archive, format!("{name}: not a plain file of at most {limit} bytes")));
        }
        let size = entry.size();
        match write_new(&target.join(name), &mut entry) {
            Ok(written) if written == size => {}
            Ok(_) => return Err(Error::data(archive, format!("truncated within {name}"))),
            Err(e) => return Err(Error::data(archive, format!("cannot unpack {name}: {e}"))),
        }
    }
    // To the end, where gzip keeps its checksum.
    io::copy(&mut stream, &mut io::sink()).map_err(broken)?;
    match wanted.iter().find(|name| !target.join(name).is_file()) {
        Some(name) => Err(Error::data(archive, format!("holds no {name}"))),
        None => Ok(()),
    }
}

/// Copies `from` into a file that must not exist yet, down to the disk; the number of bytes.
fn write_new(path: &Path, from: &mut impl Read) -> io::Result<u64> {
    let mut file = File::create_new(path)?;
    let count = io::copy(from, &mut file)?;
    file.sync_all()?;
    Ok(count)
}

/// A folder beside its final place, removed unless it has been renamed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(place: &Path) -> Result<Self> {
        let parent = place.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        // Threads of one process may meet here, too; the first free number is taken.
        for attempt in 0..1000 {
            let path = parent.join(format!(".{name}.{}.{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                done => return done.map(|()| Self(path.clone())).map_err(Error::io(&path)),
            }
        }
        Err(Error::data(parent, "holds too many unfinished folders of this process; remove them"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Gone after a successful rename; if it cannot be removed, it only takes up room.
        let _ = fs::remove_dir_all(&self.0);
    }
}
