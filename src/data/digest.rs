//! The digest of a data set's images and labels, independent of how its files are named and packed. It is cached under the
//! files' paths, sizes and times, so that it is computed once.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data::{Images, stamp};

/// Hexadecimal digits of a digest.
const DIGITS: usize = 16;

/// Bytes hashed per call.
const TOGETHER: usize = 1 << 16;

/// BLAKE3 of shape, number, labels and pixels of the training and the test images.
pub(super) fn of(parts: [&Images; 2]) -> String {
    let mut hasher = blake3::Hasher::new();
    for images in parts {
        hasher.update(format!("{:?} {}\n", images.shape, images.len()).as_bytes());
        hasher.update(&images.labels);
        // The hash is fastest on many bytes at once; in some files images are not contiguous.
        let mut pixels = Vec::with_capacity(TOGETHER);
        for (image, _) in images.iter() {
            pixels.extend_from_slice(image);
            if pixels.len() >= TOGETHER {
                hasher.update(&pixels);
                pixels.clear();
            }
        }
        hasher.update(&pixels);
    }
    hasher.finalize().to_hex()[..DIGITS].to_string()
}

/// The cached digest of the data in some files.
pub(super) struct CachedDigest<'a> {
    files: &'a [PathBuf],
    /// The state of the files at creation; none where it cannot be read.
    stamps: Option<String>,
    path: PathBuf,
}

impl<'a> CachedDigest<'a> {
    /// The entry for `files` of the data set `name`, in the program's folder `cache`.
    pub(super) fn of(name: &str, files: &'a [PathBuf], cache: &Path) -> Self {
        let places: String = files.iter().map(|file| full_name(file) + "\n").collect();
        let key = &blake3::hash(places.as_bytes()).to_hex()[..DIGITS];
        Self { files, stamps: stamp::of(files, full_name), path: cache.join("digests").join(format!("{name}-{key}")) }
    }

    /// The digest, if the files have changed neither since it was taken nor since [`CachedDigest::of`].
    pub(super) fn recall(&self) -> Option<String> {
        self.is_unchanged().then_some(())?;
        let text = fs::read_to_string(&self.path).ok()?;
        let (digest, stamps) = text.split_once('\n')?;
        (Some(stamps) == self.stamps.as_deref() && digest.len() == DIGITS).then(|| digest.to_string())
    }

    fn is_unchanged(&self) -> bool {
        self.stamps.is_some() && stamp::of(self.files, full_name) == self.stamps
    }

    /// Caches the digest of what has been read since [`CachedDigest::of`], unless the files have changed meanwhile, or so
    /// recently that another change might go unnoticed. If the cache cannot be written, nothing is kept.
    pub(super) fn keep(&self, digest: &str) {
        let Some(stamps) = &self.stamps else { return };
        if !stamp::are_settled(self.files) || !self.is_unchanged() {
            return;
        }
        let _ = self.path.parent().map(fs::create_dir_all);
        let _ = fs::write(&self.path, format!("{digest}\n{stamps}"));
    }
}

fn full_name(file: &Path) -> String {
    fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf()).display().to_string()
}

#[cfg(test)]
mod tests {
    use crate::data::{DATASETS, Origin};

    /// A change of the drawing makes another data set: its digest in the table has to change with it.
    #[test]
    fn generated_sets_have_the_digests_in_their_table() {
        for kind in DATASETS {
            if let Origin::Generated { draw, digest } = kind.origin {
                let splits = draw();
                assert_eq!(super::of([&splits.train, &splits.test]), digest, "{}", kind.name);
            }
        }
    }
}
