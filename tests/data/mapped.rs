//! Files with uncompressed images are memory-mapped, shared, and watched for changes.

use std::fs;
use std::path::{Path, PathBuf};

use mbn::data::{Dataset, digest, load};
use tempfile::tempdir;

use crate::fixture::*;

const FOLDER: &str = "data/cifar-10-batches-bin";

/// A small CIFAR-10 as a folder; the path of the file with training images 4 and 5, and the data.
fn cifar_folder(root: &Path) -> (PathBuf, Dataset) {
    for (name, bytes) in cifar10() {
        put(&root.join(FOLDER).join(name), &bytes);
    }
    (root.join(FOLDER).join("data_batch_3.bin"), load("cifar10", &source(root)).unwrap())
}

/// Whether a file is mapped into this process, where the system can tell.
#[cfg(target_os = "linux")]
fn is_mapped(path: &Path) -> bool {
    let path = fs::canonicalize(path).unwrap();
    fs::read_to_string("/proc/self/maps").unwrap().lines().any(|line| line.ends_with(path.to_str().unwrap()))
}

#[test]
#[cfg(target_os = "linux")]
fn plain_and_unpacked_files_are_mapped_as_long_as_they_are_used() {
    let (root, packed) = (tempdir().unwrap(), tempdir().unwrap());
    let (file, data) = cifar_folder(root.path());
    let clone = data.train.clone();
    drop(data);
    assert!(is_mapped(&file) && !is_mapped(&file.with_file_name("test_batch.bin")));
    drop(clone);
    assert!(!is_mapped(&file));

    put(&packed.path().join("data/cifar-10-binary.tar.gz"), &cifar10_archive());
    let _data = load("cifar10", &source(packed.path())).unwrap();
    let [unpacked] = &unpacked(packed.path())[..] else { panic!("one folder") };
    assert!(is_mapped(&unpacked.join("data_batch_3.bin")));

    let images = packed.path().join("data/mnist/t10k-images-idx3-ubyte");
    mnist().iter().for_each(|(name, bytes)| put(&images.with_file_name(name), bytes));
    let _data = load("mnist", &source(packed.path())).unwrap();
    assert!(is_mapped(&images));
}

#[test]
fn a_file_that_is_replaced_while_in_use_changes_nothing_until_the_next_load() {
    let root = tempdir().unwrap();
    let (file, data) = cifar_folder(root.path());
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    put(&root.path().join("new"), &bytes);
    fs::rename(root.path().join("new"), &file).unwrap();
    assert_eq!(data.train.get(4).unwrap().0, cifar_image(4));
    data.train.check_unchanged().unwrap();
    let again = load("cifar10", &source(root.path())).unwrap();
    assert!(again.digest != data.digest && again.train != data.train && again.test == data.test);
    assert_eq!(digest("cifar10", &source(root.path())).unwrap(), again.digest);
}

#[test]
fn a_file_that_is_written_to_while_in_use_is_noticed() {
    let root = tempdir().unwrap();
    let (file, data) = cifar_folder(root.path());
    data.train.check_unchanged().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    bytes.extend_from_within(..3073);
    fs::write(&file, &bytes).unwrap();
    let message = data.train.check_unchanged().unwrap_err().to_string();
    assert!(message.contains("data_batch_3.bin: was modified while in use"), "{message}");
    data.test.check_unchanged().unwrap();
    let again = load("cifar10", &source(root.path())).unwrap();
    assert!(again.train.len() == 11 && again.digest != data.digest);
    again.train.check_unchanged().unwrap();
}

#[test]
fn a_file_cut_short_between_loads_is_refused() {
    let root = tempdir().unwrap();
    let (file, data) = cifar_folder(root.path());
    drop(data);
    let bytes = fs::read(&file).unwrap();
    for (length, part) in [(0, "is empty"), (1, "truncated"), (3072, "truncated"), (6145, "truncated")] {
        fs::write(&file, &bytes[..length]).unwrap();
        let message = load("cifar10", &source(root.path())).unwrap_err().to_string();
        assert!(message.contains("data_batch_3.bin") && message.contains(part), "{length}: {message}");
    }
}

#[test]
fn what_was_decompressed_is_independent_of_its_file() {
    let root = tempdir().unwrap();
    for (name, bytes) in mnist() {
        put(&root.path().join("data/mnist").join(format!("{name}.gz")), &gz(&bytes));
    }
    let data = load("mnist", &source(root.path())).unwrap();
    for (name, _) in mnist() {
        fs::write(root.path().join("data/mnist").join(format!("{name}.gz")), "").unwrap();
    }
    data.train.check_unchanged().unwrap();
    assert_eq!(copied(&data.train), pixels(MNIST_TRAIN * 784, MNIST_TRAIN));
}
