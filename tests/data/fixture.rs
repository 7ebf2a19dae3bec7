//! Small data files in the formats of the published ones.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use mbn::data::{Images, Source};

/// A source that uses only `root/data` and `root/cache`.
pub fn source(root: &Path) -> Source {
    let data = root.join("data");
    fs::create_dir_all(&data).unwrap();
    Source { cache_dir: root.join("cache"), hub: false, ..Source::with_data_dir(Some(data)) }
}

/// Writes a file and the folders above it.
pub fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn idx(dims: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = (0x0800 + dims.len() as u32).to_be_bytes().to_vec();
    dims.iter().for_each(|d| file.extend(d.to_be_bytes()));
    file.extend(bytes);
    file
}

/// `n` bytes with a long period.
pub fn pixels(n: usize, salt: usize) -> Vec<u8> {
    (0..n).map(|i| (((i + salt) * 2_654_435_761) >> 13) as u8).collect()
}

/// The pixels of all images, copied.
pub fn copied(images: &Images) -> Vec<u8> {
    images.iter().flat_map(|(image, _)| image.to_vec()).collect()
}

/// Training images of the small MNIST; there are 5 test images.
pub const MNIST_TRAIN: usize = 12;

/// The four files of a small MNIST, by their published names.
pub fn mnist() -> [(&'static str, Vec<u8>); 4] {
    let labels = |n: usize| (0..n).map(|i| (i % 10) as u8).collect::<Vec<_>>();
    let images = |n: usize| idx(&[n as u32, 28, 28], &pixels(n * 784, n));
    [
        ("train-images-idx3-ubyte", images(MNIST_TRAIN)),
        ("train-labels-idx1-ubyte", idx(&[MNIST_TRAIN as u32], &labels(MNIST_TRAIN))),
        ("t10k-images-idx3-ubyte", images(5)),
        ("t10k-labels-idx1-ubyte", idx(&[5], &labels(5))),
    ]
}

/// Image `i` of the small CIFAR: three planes.
pub fn cifar_image(i: usize) -> Vec<u8> {
    pixels(3072, 3072 * i)
}

/// The files of a small CIFAR-10, two images each; image i has label i mod 10.
pub fn cifar10() -> Vec<(String, Vec<u8>)> {
    let names = (1..=5).map(|b| format!("data_batch_{b}.bin")).chain(["test_batch.bin".to_string()]);
    let record = |i: usize| [vec![(i % 10) as u8], cifar_image(i)].concat();
    names.enumerate().map(|(f, name)| (name, [record(2 * f), record(2 * f + 1)].concat())).collect()
}

/// The records of a binary file, pickled as by Python 2, like the published Python version.
pub fn pickled(records: &[u8]) -> Vec<u8> {
    let (labels, pixels) = split_records(records);
    let count = (pixels.len() / 3072) as u16;
    let mut file = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x05batchq\x03U\x06labelsq\x04]q\x05(".to_vec();
    labels.iter().for_each(|label| file.extend([b'K', *label]));
    file.extend(
        b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09",
    );
    file.extend(b"(K\x01M");
    file.extend(count.to_le_bytes());
    file.extend(b"M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    file.extend((pixels.len() as u32).to_le_bytes());
    file.extend(pixels);
    file.extend(b"tbu.");
    file
}

/// Labels, and pixels image by image.
pub fn split_records(records: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (records.chunks(3073).map(|r| r[0]).collect(), records.chunks(3073).flat_map(|r| r[1..].to_vec()).collect())
}

/// A gzip-compressed tar archive. Names are written unchanged, valid or not.
pub fn tar_gz<'a>(files: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        archive.append(&header, bytes).unwrap();
    }
    gz(&archive.into_inner().unwrap())
}

/// The small CIFAR-10 as published: one archive with one folder.
pub fn cifar10_archive() -> Vec<u8> {
    let files = cifar10();
    tar_gz(files.iter().map(|(name, bytes)| (format!("cifar-10-batches-bin/{name}"), bytes.as_slice())))
}

/// The folders of unpacked archives in the cache.
pub fn unpacked(root: &Path) -> Vec<PathBuf> {
    let folder = root.join("cache/unpacked");
    let entries = fs::read_dir(folder).map(|d| d.map(|e| e.unwrap().path()).collect::<Vec<_>>()).unwrap_or_default();
    entries.into_iter().filter(|path| !path.ends_with(".lock")).collect()
}
