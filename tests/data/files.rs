//! IDX and CIFAR binary files: valid ones round-trip, invalid ones are refused.

use std::fs;
use std::path::Path;

use mbn::data::{check, load};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::fixture::*;

fn put_mnist(folder: &Path, compressed: bool) {
    for (name, bytes) in mnist() {
        match compressed {
            true => put(&folder.join(format!("{name}.gz")), &gz(&bytes)),
            false => put(&folder.join(name), &bytes),
        }
    }
}

/// The message with which loading fails.
fn refusal(name: &str, root: &Path) -> String {
    load(name, &source(root)).expect_err("was accepted").to_string()
}

#[test]
fn mnist_is_read_from_every_usual_place_plain_and_compressed() {
    for folder in ["mnist", "", "MNIST/raw"] {
        for compressed in [false, true] {
            let root = tempdir().unwrap();
            put_mnist(&root.path().join("data").join(folder), compressed);
            let data = load("mnist", &source(root.path())).unwrap();
            assert_eq!((data.train.len(), data.test.len()), (MNIST_TRAIN, 5));
            let all = pixels(MNIST_TRAIN * 784, MNIST_TRAIN);
            assert_eq!(copied(&data.train), all);
            assert_eq!(data.test.labels, [0, 1, 2, 3, 4]);
            assert_eq!(data.train.get(11).unwrap(), (&all[11 * 784..], 1));
            assert!(data.train.get(12).is_none());
        }
    }
    let root = tempdir().unwrap();
    put_mnist(&root.path().join("data/fashion-mnist"), true);
    assert_eq!(load("fashion-mnist", &source(root.path())).unwrap().name, "fashion-mnist");
    assert!(refusal("mnist", root.path()).contains("not found"));
}

#[test]
fn files_put_into_the_cache_by_hand_are_found() {
    let root = tempdir().unwrap();
    put_mnist(&root.path().join("cache/mnist"), false);
    assert_eq!(load("mnist", &source(root.path())).unwrap().train.len(), MNIST_TRAIN);
}

#[test]
fn cifar_binary_folders_are_read() {
    let root = tempdir().unwrap();
    for (name, bytes) in cifar10() {
        put(&root.path().join("data/cifar-10-batches-bin").join(name), &bytes);
    }
    let data = load("cifar10", &source(root.path())).unwrap();
    assert_eq!(data.train.labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(data.test.labels, [0, 1]);
    for (images, first, count) in [(&data.train, 0, 10), (&data.test, 10, 2)] {
        let expected: Vec<_> = (first..first + count).map(|i| (cifar_image(i), ((i - first) % 10) as u8)).collect();
        for (i, (image, label)) in expected.iter().enumerate() {
            assert_eq!(images.get(i), Some((&image[..], *label)), "{i}");
        }
        assert_eq!(images.get(count), None);
        assert!(images.iter().map(|(image, label)| (image.to_vec(), label)).eq(expected));
    }

    let record = |coarse: u8, fine: u8, i| [vec![coarse, fine], cifar_image(i)].concat();
    put(&root.path().join("data/cifar-100-binary/train.bin"), &[record(19, 99, 0), record(3, 42, 1)].concat());
    put(&root.path().join("data/cifar-100-binary/test.bin"), &record(0, 7, 2));
    let data = load("cifar100", &source(root.path())).unwrap();
    assert_eq!((&data.train.labels[..], &data.test.labels[..]), (&[99, 42][..], &[7][..]));
    assert_eq!(copied(&data.test), cifar_image(2));
}

#[test]
fn what_is_missing_is_said_with_the_remedy() {
    let root = tempdir().unwrap();
    let message = refusal("cifar10", root.path());
    for part in
        ["cifar-10-binary.tar.gz", "data_batch_1.bin", "--data-dir", "mbn data fetch cifar10", "/cache", "/data"]
    {
        assert!(message.contains(part), "{part} not in: {message}");
    }
    assert!(load("mnits", &source(root.path())).unwrap_err().to_string().contains("did you mean `mnist`"));

    put_mnist(&root.path().join("data/mnist"), false);
    fs::remove_file(root.path().join("data/mnist/t10k-labels-idx1-ubyte")).unwrap();
    assert!(refusal("mnist", root.path()).contains("t10k-labels-idx1-ubyte"));

    let mut nowhere = source(root.path());
    nowhere.data_dir = Some(root.path().join("no/such"));
    assert!(load("mnist", &nowhere).unwrap_err().to_string().contains("--data-dir names does not exist"));
}

/// The message for a small MNIST in which one file has been replaced.
fn with_file(name: &str, bytes: &[u8]) -> String {
    let root = tempdir().unwrap();
    put_mnist(&root.path().join("data/mnist"), false);
    put(&root.path().join("data/mnist").join(name), bytes);
    refusal("mnist", root.path())
}

#[test]
fn impossible_headers_are_refused_before_anything_is_read() {
    let huge = [u32::MAX, u32::MAX, u32::MAX];
    let too_much = "more than a file of its size can hold";
    assert!(with_file("train-images-idx3-ubyte", &idx(&huge, &[1])).contains(too_much));
    assert!(with_file("train-labels-idx1-ubyte", &idx(&huge[..1], &[1])).contains(too_much));
    let root = tempdir().unwrap();
    put_mnist(&root.path().join("data/mnist"), true);
    put(&root.path().join("data/mnist/train-images-idx3-ubyte.gz"), &gz(&idx(&huge, &[1; 100])));
    assert!(refusal("mnist", root.path()).contains(too_much));
}

#[test]
fn each_kind_of_damage_is_named() {
    let images = "train-images-idx3-ubyte";
    let labels = "train-labels-idx1-ubyte";
    assert!(with_file(images, &[]).contains("is empty"));
    assert!(with_file(images, b"PK\x03\x04 zipped").contains("a zip archive: unpack it with unzip"));
    assert!(with_file(images, b"<!DOCTYPE html>").contains("download the file again"));
    assert!(with_file(images, &mnist()[1].1).contains("is an IDX file of 1 dimension of bytes; expected"));
    assert!(with_file(labels, &[0, 0, 0x0c, 1, 0, 0, 0, 0]).contains("32-bit integers"));
    assert!(with_file(labels, &[1, 8, 0, 0, 0, 0, 0, 0]).contains("big-endian"));
    assert!(with_file(labels, b"abcdefgh").contains("begins with 0x61626364"));
    assert!(with_file(images, &idx(&[12, 27, 28], &pixels(12 * 27 * 28, 0))).contains("27 x 28"));
    assert!(with_file(labels, &idx(&[11], &[0; 11])).contains("11 labels for 12 images"));
    assert!(
        with_file(labels, &idx(&[12], &[10; 12]))
            .contains("label 10 of image 0 is not below 10: labels are 0 to 9; these may be")
    );
    let from_one: Vec<u8> = (1..=10).chain([1, 2]).collect();
    assert!(with_file(labels, &idx(&[12], &from_one)).contains("start at 1, so subtract 1"));
    assert!(with_file(images, &gz(&gz(&gz(b"x")))).contains("compressed more than twice by gzip"));
    assert!(with_file(images, &idx(&[0, 28, 28], &[])).contains("12 labels for 0 images"));

    let root = tempdir().unwrap();
    put_mnist(&root.path().join("data/mnist"), false);
    fs::remove_file(root.path().join("data/mnist").join(labels)).unwrap();
    fs::create_dir(root.path().join("data/mnist").join(labels)).unwrap();
    let message = refusal("mnist", root.path());
    assert!(message.contains("train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz is missing"), "{message}");
    assert!(message.contains("train-labels-idx1-ubyte/"), "what is there is listed: {message}");
}

#[test]
fn an_incomplete_set_is_remarked_upon() {
    let root = tempdir().unwrap();
    put_mnist(&root.path().join("data/mnist"), false);
    let report = check("mnist", &source(root.path())).unwrap();
    assert!(report.remarks[0].contains("12 images, the complete set has 60000"), "{:?}", report.remarks);
    assert_eq!(report.train.per_class, [2, 2, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(report.shape, [1, 28, 28]);
}

/// The published files, where available: `MBN_DATA_DIR`.
#[test]
fn the_published_sets_are_complete_where_they_are_at_hand() {
    let Some(folder) = std::env::var_os("MBN_DATA_DIR") else { return };
    let cache = tempdir().unwrap();
    for name in ["mnist", "cifar10"] {
        let mut here = source(cache.path());
        here.data_dir = Some(folder.clone().into());
        assert_eq!(check(name, &here).unwrap().remarks, Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn a_cut_or_lengthened_idx_file_is_refused(file in 0usize..4, at in 0.0f64..1.0, more in 1usize..9) {
        let (name, bytes) = mnist()[file].clone();
        let cut = &bytes[..(bytes.len() as f64 * at) as usize];
        prop_assert!(!with_file(name, cut).is_empty());
        prop_assert!(!with_file(name, &[bytes, vec![0; more]].concat()).is_empty());
    }

    #[test]
    fn any_other_header_is_refused(file in 0usize..4, byte in 0usize..16, value: u8) {
        let (name, mut bytes) = mnist()[file].clone();
        let byte = byte % if name.contains("idx3") { 16 } else { 8 };
        prop_assume!(bytes[byte] != value);
        bytes[byte] = value;
        prop_assert!(with_file(name, &bytes).contains("idx"));
    }

    #[test]
    fn damaged_gzip_is_refused_or_harmless(file in 0usize..4, at in 0.0f64..1.0, bit in 0u8..8, cut: bool) {
        let root = tempdir().unwrap();
        let folder = root.path().join("data/mnist");
        put_mnist(&folder, true);
        let good = load("mnist", &source(root.path())).unwrap();
        let path = folder.join(format!("{}.gz", mnist()[file].0));
        let mut bytes = fs::read(&path).unwrap();
        let at = (bytes.len() as f64 * at) as usize;
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        put(&path, &bytes);
        // A changed time stamp in gzip's header changes nothing.
        if let Ok(read) = load("mnist", &source(root.path())) {
            prop_assert!(!cut && read.train == good.train && read.test == good.test);
        }
    }

    #[test]
    fn damaged_cifar_files_are_refused(file in 0usize..6, length in 0usize..6146, label in 10u8..=255, record in 0usize..2) {
        let root = tempdir().unwrap();
        let folder = root.path().join("data/cifar-10-batches-bin");
        for (name, bytes) in cifar10() {
            put(&folder.join(name), &bytes);
        }
        let (name, mut bytes) = cifar10().swap_remove(file);
        if length != 3073 {
            put(&folder.join(&name), &bytes[..length]);
            prop_assert!(refusal("cifar10", root.path()).contains(&name));
        }
        bytes[record * 3073] = label;
        put(&folder.join(&name), &bytes);
        prop_assert!(refusal("cifar10", root.path()).contains("label"));
    }
}
