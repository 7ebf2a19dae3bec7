//! The identity of data: a digest of images and labels alone, cached as long as the files do not change.

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mbn::data::{Source, digest, load};
use tempfile::tempdir;

use crate::fixture::*;

fn put_mnist(root: &Path) -> PathBuf {
    let folder = root.join("data/mnist");
    mnist().iter().for_each(|(name, bytes)| put(&folder.join(name), bytes));
    folder
}

/// A change to the four files.
type Change<'a> = &'a dyn Fn(&mut [(&'static str, Vec<u8>); 4]);

#[test]
fn another_pixel_label_or_order_is_other_data() {
    let of = |change: Change| {
        let root = tempdir().unwrap();
        let mut files = mnist();
        change(&mut files);
        files.iter().for_each(|(name, bytes)| put(&root.path().join("data/mnist").join(name), bytes));
        let found = load("mnist", &source(root.path())).unwrap().digest;
        assert_eq!(digest("mnist", &source(root.path())).unwrap(), found);
        found
    };
    let own = of(&|_| {});
    assert_eq!(own, of(&|_| {}));
    assert!(own.len() == 16 && own.chars().all(|c| c.is_ascii_hexdigit()), "{own}");
    let changes: [Change; 5] = [
        &|files| files[0].1[2000] ^= 1,
        &|files| files[1].1[9] ^= 1,
        &|files| files[2].1[30] ^= 1,
        &|files| files[3].1[8] ^= 1,
        &|files| files[1].1.swap(8, 9),
    ];
    let others: Vec<String> = changes.iter().map(|change| of(*change)).collect();
    assert!(others.iter().all(|other| *other != own), "{own} {others:?}");
}

/// Backdates the files of a folder, since data files usually are old.
fn age(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let file = File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_times(FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(3600))).unwrap();
    }
}

/// The only file in the cache of digests.
fn remembered(root: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(root.join("cache/digests")).ok()?.map(|entry| entry.unwrap().path());
    let file = files.next();
    assert_eq!(files.next(), None);
    file
}

#[test]
fn a_digest_is_taken_once_and_again_when_a_file_has_changed() {
    let root = tempdir().unwrap();
    let folder = put_mnist(root.path());
    let here = source(root.path());
    let own = load("mnist", &here).unwrap().digest;
    assert_eq!(remembered(root.path()), None, "files as young as this may change without another time");
    age(&folder);
    assert_eq!(load("mnist", &here).unwrap().digest, own);
    // A changed entry shows that the cache is read, and the data are not.
    let memory = remembered(root.path()).unwrap();
    let text = fs::read_to_string(&memory).unwrap();
    let mark = "0123456789abcdef";
    fs::write(&memory, text.replace(&own, mark)).unwrap();
    assert_eq!(digest("mnist", &here).unwrap(), mark);
    assert_eq!(load("mnist", &here).unwrap().digest, mark);

    // As large and as old as before, but other contents.
    let labels = folder.join("t10k-labels-idx1-ubyte");
    let mut bytes = fs::read(&labels).unwrap();
    bytes[8] ^= 1;
    fs::remove_file(&labels).unwrap();
    put(&labels, &bytes);
    age(&folder);
    let other = digest("mnist", &here).unwrap();
    assert!(other != mark && other != own, "{other}");
    fs::write(&memory, "torn").unwrap();
    assert_eq!(digest("mnist", &here).unwrap(), other);
}

#[test]
fn a_cache_that_cannot_be_written_costs_nothing_but_time() {
    let root = tempdir().unwrap();
    let folder = put_mnist(root.path());
    age(&folder);
    put(&root.path().join("cache"), b"a file in the way");
    let own = load("mnist", &source(root.path())).unwrap().digest;
    assert_eq!(digest("mnist", &source(root.path())).unwrap(), own);
}

#[test]
fn generated_data_have_a_digest_without_being_drawn() {
    let nowhere = Source { cache_dir: "/nowhere".into(), hub: false, ..Source::default() };
    for name in ["digits", "shapes"] {
        assert_eq!(digest(name, &nowhere).unwrap(), load(name, &nowhere).unwrap().digest);
    }
    assert_ne!(digest("digits", &nowhere).unwrap(), digest("shapes", &nowhere).unwrap());
}

#[test]
fn every_load_says_in_what_the_data_are_not_the_published() {
    let root = tempdir().unwrap();
    for (file, value) in [("train", 230u8), ("t10k", 34)] {
        let count = if file == "train" { 600 } else { 100 };
        let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
        // Half of the pixels black, half of that value.
        let pixels: Vec<u8> = (0..count * 784).map(|i| if i % 2 == 0 { value } else { 0 }).collect();
        let name = |part: &str| root.path().join(format!("data/mnist/{file}-{part}-ubyte"));
        put(&name("images-idx3"), &idx(&[count as u32, 28, 28], &pixels));
        put(&name("labels-idx1"), &idx(&[count as u32], &labels));
    }
    let remarks = load("mnist", &source(root.path())).unwrap().remarks;
    let has = |parts: &[&str]| remarks.iter().any(|remark| parts.iter().all(|part| remark.contains(part)));
    assert!(has(&["train", "600 images", "60000"]) && has(&["test", "100 images", "10000"]), "{remarks:?}");
    assert!(has(&["train", "mean [0.4510]", "0.1307", "mnist"]), "{remarks:?}");
    assert!(!has(&["test", "mean"]), "so few test images may deviate by chance: {remarks:?}");
}
