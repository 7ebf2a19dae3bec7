//! Unpacking an archive once, into the cache.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::data::{folder, gzip, magic, stamp};
use crate::{Error, Result, lock};

/// Bytes that an archive may hold besides the wanted files.
const SLACK: u64 = 1 << 20;

/// The list of the unpacked files, by which damage to them is noticed.
const LIST: &str = "unpacked.txt";

/// The folder in `cache` that holds the files of one of `versions` (names), unpacked from `archive` if they are not there
/// yet or have changed since.
///
/// Files are recognised by their last name alone and written under it, so no entry can land elsewhere. They are written
/// to a temporary folder that is then renamed, so that an interrupted unpacking does no harm, and by one process at a
/// time: the others wait for its files. The folder's name holds a hash of the archive's path, size and times, so a changed
/// archive is unpacked again.
///
/// # Errors
/// A corrupt or truncated archive, a wanted file that is missing, duplicated or longer than `limit` bytes, or a cache that
/// cannot be written.
pub(super) fn unpack(archive: &Path, versions: &[&[&str]], limit: u64, cache: &Path) -> Result<PathBuf> {
    folder::file_length(archive)?;
    let place = cache.join("unpacked").join(key(archive)?);
    if is_whole(&place) {
        return Ok(place);
    }
    unpack_to(place, archive, versions, limit).map_err(|error| match error {
        Error::Io { path, source } if path.starts_with(cache) => Error::data(path, format!("{source}; {REMEDY}")),
        other => other,
    })
}

/// What to do where the cache cannot be made or written.
const REMEDY: &str = "archives are unpacked into this cache; name another folder for it with MBN_CACHE_DIR";

fn unpack_to(place: PathBuf, archive: &Path, versions: &[&[&str]], limit: u64) -> Result<PathBuf> {
    let parent = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let lock = lock::wait(parent)?;
    if is_whole(&place) {
        return Ok(place); // another process was faster
    }
    if lock.alone {
        remove_unfinished(parent)?;
    }
    let scratch = Scratch::new(&place)?;
    let files = extract(archive, versions, limit, &scratch.0)?;
    let list = stamp::of(&files, last_name).unwrap_or_default();
    let list_path = scratch.0.join(LIST);
    fs::write(&list_path, list).map_err(Error::io(&list_path))?;
    let damaged = Scratch::new(&place)?;
    // What is there is damaged; if nothing is, this fails without harm.
    let _ = fs::rename(&place, damaged.0.join("damaged"));
    match fs::rename(&scratch.0, &place) {
        Err(_) if is_whole(&place) => Ok(place),
        done => done.map(|()| place.clone()).map_err(Error::io(&place)),
    }
}

/// Removes what processes killed while unpacking left behind; no other process is unpacking here.
fn remove_unfinished(cache: &Path) -> Result<()> {
    for entry in fs::read_dir(cache).map_err(Error::io(cache))? {
        let path = entry.map_err(Error::io(cache))?.path();
        if path.is_dir() && last_name(&path).starts_with('.') {
            fs::remove_dir_all(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// Whether the folder holds what was unpacked into it, unchanged.
fn is_whole(place: &Path) -> bool {
    // Name, size and modification time, which are the same in a copy of the cache and under other permissions.
    let lasting = |list: &str| -> Vec<Vec<String>> {
        list.lines().map(|line| line.split('\t').take(3).map(str::to_string).collect()).collect()
    };
    let Ok(list) = fs::read_to_string(place.join(LIST)) else { return false };
    let files: Vec<PathBuf> = list.lines().filter_map(|line| Some(place.join(line.split('\t').next()?))).collect();
    !files.is_empty() && stamp::of(&files, last_name).is_some_and(|now| lasting(&now) == lasting(&list))
}

fn last_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `<name>-<hash of path, size and times>`.
fn key(archive: &Path) -> Result<String> {
    let full = fs::canonicalize(archive).map_err(|error| folder::refused(archive, error))?;
    let identity = stamp::of(std::slice::from_ref(&full), |path| path.display().to_string()).unwrap_or_default();
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').next().unwrap_or_default();
    Ok(format!("{stem}-{}", &blake3::hash(identity.as_bytes()).to_hex()[..16]))
}

/// Writes the files that belong to one of `versions` to the folder `target` and returns their paths.
fn extract(archive: &Path, versions: &[&[&str]], limit: u64, target: &Path) -> Result<Vec<PathBuf>> {
    let most = versions.iter().map(|names| names.len()).max().unwrap_or(0) as u64;
    let mut contents = gzip::open(archive)?.reader.take(limit.saturating_mul(most) + SLACK);
    let mut head = Vec::new();
    contents.by_ref().take(TAR_MAGIC.end as u64).read_to_end(&mut head).map_err(|e| gzip::damaged(archive, &e))?;
    let broken = |e: io::Error| match head.get(TAR_MAGIC) {
        Some(b"ustar") => gzip::damaged(archive, &e),
        _ => Error::data(archive, format!("not a tar archive: it {}", magic::describe(&head[..head.len().min(32)]))),
    };
    let mut stream = head.as_slice().chain(contents);
    let mut files = vec![];
    for entry in tar::Archive::new(&mut stream).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let mut wanted = versions.iter().copied().flatten();
        let Some(name) = wanted.find(|&&w| path.file_name().is_some_and(|f| f == w)) else { continue };
        if entry.header().entry_type().is_dir() {
            continue;
        }
        if !entry.header().entry_type().is_file() || entry.size() > limit {
            return Err(Error::data(archive, format!("{name}: not a regular file of at most {limit} bytes")));
        }
        let (size, file) = (entry.size(), target.join(name));
        match write_new(&file, &mut entry) {
            Ok(written) if written == size => files.push(file),
            Ok(_) => return Err(Error::data(archive, format!("truncated within {name}; download it again"))),
            Err(e)
                if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput) =>
            {
                return Err(gzip::damaged(archive, &e));
            }
            Err(e) => return Err(Error::io(&file)(e)),
        }
    }
    // Read to the end, where gzip keeps its checksum.
    io::copy(&mut stream, &mut io::sink()).map_err(broken)?;
    check(archive, versions, &files)?;
    Ok(files)
}

/// Position of the magic bytes of a tar archive.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// Checks that one of the versions is complete.
fn check(archive: &Path, versions: &[&[&str]], files: &[PathBuf]) -> Result<()> {
    let is_there = |name: &str| files.iter().any(|file| last_name(file) == name);
    let missing = versions.iter().map(|names| names.iter().copied().filter(|name| !is_there(name)).collect::<Vec<_>>());
    let fewest = missing.min_by_key(Vec::len).unwrap_or_default();
    match &fewest[..] {
        [] => Ok(()),
        names => Err(Error::data(archive, format!("holds no {}; get the published archive", names.join(", no ")))),
    }
}

/// Copies `from` into a file that must not exist yet and syncs it; returns the number of bytes.
fn write_new(path: &Path, from: &mut impl Read) -> io::Result<u64> {
    let mut file = File::create_new(path)?;
    let count = io::copy(from, &mut file)?;
    file.sync_all()?;
    Ok(count)
}

/// A temporary folder beside its final place, removed unless it has been renamed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(place: &Path) -> Result<Self> {
        let parent = place.parent().unwrap_or(Path::new("."));
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        // Where the file system has no locks, threads of one process may meet here; the first free number is taken.
        for attempt in 0..1000 {
            let path = parent.join(format!(".{name}.{}.{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
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
