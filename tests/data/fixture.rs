//! Small data files as the published ones are.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{write::GzEncoder, Compression};
use mbn::data::Source;

/// A source that knows `root/data` and `root/cache` and asks nobody else.
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

/// `n` bytes that repeat only after a long while.
pub fn pixels(n: usize, salt: usize) -> Vec<u8> {
    (0..n).map(|i| (((i + salt) * 2_654_435_761) >> 13) as u8).collect()
}

/// Training pictures of the little MNIST; there are 5 test pictures.
pub const MNIST_TRAIN: usize = 12;

/// The four files of a little MNIST, by their published names.
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

/// Picture `i` of the little CIFAR: three planes.
pub fn cifar_picture(i: usize) -> Vec<u8> {
    pixels(3072, 3072 * i)
}

/// The files of a little CIFAR-10, two pictures each; picture i has label i mod 10.
pub fn cifar10() -> Vec<(String, Vec<u8>)> {
    let names = (1..=5).map(|b| format!("data_batch_{b}.bin")).chain(["test_batch.bin".to_string()]);
    let record = |i: usize| [vec![(i % 10) as u8], cifar_picture(i)].concat();
    names.enumerate().map(|(f, name)| (name, [record(2 * f), record(2 * f + 1)].concat())).collect()
}

/// A gzip-compressed tar archive. Names are written as they are, sound or not.
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

/// The little CIFAR-10 as published: one archive with one folder.
pub fn cifar10_archive() -> Vec<u8> {
    let files = cifar10();
    tar_gz(files.iter().map(|(name, bytes)| (format!("cifar-10-batches-bin/{name}"), bytes.as_slice())))
}
