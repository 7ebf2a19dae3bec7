//! The published archives: unpacked once, safely.

use std::fs;
use std::path::PathBuf;
use std::thread;

use mbn::data::load;
use proptest::prelude::*;
use tempfile::tempdir;

use crate::fixture::*;

const ARCHIVE: &str = "data/cifar-10-binary.tar.gz";

#[test]
fn an_archive_holds_the_same_images_as_a_folder() {
    let (packed, loose) = (tempdir().unwrap(), tempdir().unwrap());
    put(&packed.path().join(ARCHIVE), &cifar10_archive());
    for (name, bytes) in cifar10() {
        put(&loose.path().join("data/cifar-10-batches-bin").join(name), &bytes);
    }
    let [a, b] = [&packed, &loose].map(|root| load("cifar10", &source(root.path())).unwrap());
    assert_eq!((a.train, a.test), (b.train, b.test));
}

#[test]
fn it_is_unpacked_once_and_again_when_it_has_changed() {
    let root = tempdir().unwrap();
    put(&root.path().join(ARCHIVE), &cifar10_archive());
    let first = load("cifar10", &source(root.path())).unwrap();
    // A marker beside the unpacked files shows that the second load does not unpack.
    let [folder] = &unpacked(root.path())[..] else { panic!("one folder") };
    put(&folder.join("mark"), b"");
    assert_eq!(load("cifar10", &source(root.path())).unwrap().test, first.test);
    assert!(folder.join("mark").exists());

    let files = cifar10();
    let doubled = files.iter().map(|(name, bytes)| (name.clone(), [&bytes[..], bytes].concat())).collect::<Vec<_>>();
    put(&root.path().join(ARCHIVE), &tar_gz(doubled.iter().map(|(n, b)| (n.clone(), &b[..]))));
    let second = load("cifar10", &source(root.path())).unwrap();
    assert_eq!((first.train.len(), second.train.len()), (10, 20));
}

#[test]
fn what_has_been_unpacked_and_damaged_since_is_unpacked_anew() {
    let root = tempdir().unwrap();
    put(&root.path().join(ARCHIVE), &cifar10_archive());
    let contents = || {
        let data = load("cifar10", &source(root.path())).unwrap();
        [data.train, data.test].map(|images| (copied(&images), images.labels))
    };
    let good = contents();
    let [folder] = &unpacked(root.path())[..] else { panic!("one folder") };
    let file = folder.join("data_batch_4.bin");
    let whole = fs::read(&file).unwrap();
    let damage: [&dyn Fn(); 5] = [
        &|| fs::write(&file, &whole[..3073]).unwrap(),
        &|| fs::write(&file, [&[7], &whole[1..]].concat()).unwrap(),
        &|| fs::remove_file(&file).unwrap(),
        &|| fs::remove_dir_all(folder).and_then(|()| fs::create_dir(folder)).unwrap(),
        &|| fs::remove_dir_all(folder).and_then(|()| fs::write(folder, "")).unwrap(),
    ];
    for (i, damage) in damage.iter().enumerate() {
        damage();
        assert!(contents() == good, "damage {i}");
        assert_eq!(unpacked(root.path()).len(), 1, "damage {i}: nothing else is left");
    }
}

#[test]
fn archives_are_read_by_what_they_are() {
    let files = cifar10();
    let tar = |files: &[(String, Vec<u8>)]| tar_gz(files.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice())));
    let python: Vec<_> = files.iter().map(|(name, bytes)| (name.replace(".bin", ""), pickled(bytes))).collect();
    let plain = |bytes: &[u8]| {
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut out).unwrap();
        out
    };
    let expected = {
        let root = tempdir().unwrap();
        put(&root.path().join(ARCHIVE), &tar(&files));
        load("cifar10", &source(root.path())).unwrap()
    };
    for (name, bytes) in [
        ("cifar-10-binary.tar.gz", plain(&tar(&files))),
        ("cifar-10-binary.tar.gz", gz(&tar(&files))),
        ("cifar-10-binary.tar", plain(&tar(&files))),
        ("cifar-10-binary.tgz", tar(&files)),
        ("cifar-10-python.tar.gz", tar(&python)),
        ("cifar-10-binary.tar.gz", tar(&python)),
    ] {
        let root = tempdir().unwrap();
        put(&root.path().join("data").join(name), &bytes);
        let found = load("cifar10", &source(root.path())).unwrap();
        assert!((&found.train, &found.test) == (&expected.train, &expected.test), "{name}");
        assert_eq!(found.digest, expected.digest, "{name}: the same data");
    }
}

#[test]
fn several_may_unpack_at_once_whatever_an_interrupted_one_left() {
    let root = tempdir().unwrap();
    put(&root.path().join(ARCHIVE), &cifar10_archive());
    for round in 0..20 {
        let sets: Vec<_> = thread::scope(|scope| {
            let load = || load("cifar10", &source(root.path())).unwrap();
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(load)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(sets.iter().all(|s| s.train == sets[0].train && s.digest == sets[0].digest));
        let [folder] = &unpacked(root.path())[..] else { panic!("round {round}: unfinished folders are left") };
        // The next round finds the folder of a killed process, and a missing or damaged file in place.
        put(&folder.with_file_name(format!(".killed.{round}")).join("data_batch_1.bin"), b"a part");
        match round % 2 {
            0 => fs::remove_dir_all(folder).unwrap(),
            _ => put(&folder.join("data_batch_2.bin"), b"damaged"),
        }
    }
}

#[test]
fn no_entry_lands_outside_the_cache() {
    let root = tempdir().unwrap();
    let files = cifar10();
    let evil = files.iter().map(|(name, bytes)| (format!("../../../{name}"), &bytes[..]));
    put(&root.path().join(ARCHIVE), &tar_gz(evil.chain([("../../escaped".to_string(), &b"x"[..])])));
    load("cifar10", &source(root.path())).unwrap();
    let mut outside: Vec<_> = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    outside.sort();
    assert_eq!(outside, ["cache", "data"]);
    let cache: Vec<_> = fs::read_dir(root.path().join("cache")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(cache, ["unpacked"]);
    assert_eq!(fs::read_dir(&unpacked(root.path())[0]).unwrap().count(), 7, "six files and their list");
}

/// The message for an archive of these bytes; no partial results may remain in the cache.
fn refusal(bytes: &[u8]) -> String {
    let root = tempdir().unwrap();
    put(&root.path().join(ARCHIVE), bytes);
    let message = load("cifar10", &source(root.path())).expect_err("was accepted").to_string();
    assert_eq!(unpacked(root.path()), Vec::<PathBuf>::new(), "remains of a failed unpacking: {message}");
    message
}

#[test]
fn archives_that_are_not_what_they_should_be_are_refused() {
    let files = cifar10();
    let entry = |i: usize| (files[i].0.clone(), &files[i].1[..]);
    assert!(refusal(&[]).contains("is empty"));
    assert!(refusal(b"no gzip").contains("not a tar archive"));
    assert!(refusal(&gz(b"no tar, but long enough to be looked at")).contains("tar.gz"));
    assert!(refusal(&tar_gz((0..5).map(entry))).contains("holds no test_batch.bin"));
    assert!(refusal(&tar_gz((0..6).chain([2]).map(entry))).contains("data_batch_3.bin"));
    assert!(refusal(&tar_gz([("deeper/".repeat(10) + "test_batch.bin", &[0; 10][..])])).contains("holds no"));

    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    link.append_link(&mut header, "data_batch_1.bin", "/etc/passwd").unwrap();
    assert!(refusal(&gz(&link.into_inner().unwrap())).contains("not a regular file"));

    // A size that no published file has, with nothing behind it.
    let mut header = tar::Header::new_ustar();
    header.set_path("data_batch_1.bin").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    assert!(refusal(&gz(header.as_bytes())).contains("not a regular file of at most"));
}

#[test]
fn a_folder_of_an_archives_name_is_refused() {
    let root = tempdir().unwrap();
    fs::create_dir_all(root.path().join(ARCHIVE)).unwrap();
    let message = load("cifar10", &source(root.path())).unwrap_err().to_string();
    assert!(message.contains("cifar-10-binary.tar.gz is a folder, not the file of that name"), "{message}");
}

#[cfg(unix)]
#[test]
fn an_intact_cache_is_read_whatever_its_permissions_and_one_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempdir().unwrap();
    put(&root.path().join(ARCHIVE), &cifar10_archive());
    let first = load("cifar10", &source(root.path())).unwrap();
    let [folder] = &unpacked(root.path())[..] else { panic!("one folder") };
    for entry in fs::read_dir(folder).unwrap() {
        fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o444)).unwrap();
    }
    put(&folder.join("mark"), b"");
    assert_eq!(load("cifar10", &source(root.path())).unwrap().test, first.test);
    assert!(folder.join("mark").exists(), "it was not unpacked again");

    fs::remove_dir_all(root.path().join("cache")).unwrap();
    put(&root.path().join("cache"), b"a file in the way");
    let message = load("cifar10", &source(root.path())).unwrap_err().to_string();
    assert!(
        message.contains("archives are unpacked into this cache") && message.contains("MBN_CACHE_DIR"),
        "{message}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]

    #[test]
    fn a_cut_archive_is_refused(at in 0.0f64..1.0) {
        let bytes = cifar10_archive();
        prop_assert!(!refusal(&bytes[..(bytes.len() as f64 * at) as usize]).is_empty());
    }

    #[test]
    fn a_flipped_bit_is_noticed_or_harmless(at in 0.0f64..1.0, bit in 0u8..8) {
        let root = tempdir().unwrap();
        let mut bytes = cifar10_archive();
        put(&root.path().join(ARCHIVE), &bytes);
        let good = load("cifar10", &source(root.path())).unwrap();
        let at = (bytes.len() as f64 * at) as usize;
        bytes[at] ^= 1 << bit;
        put(&root.path().join(ARCHIVE), &bytes);
        fs::remove_dir_all(root.path().join("cache")).unwrap();
        // Harmless: gzip's time stamp, or another way to write the same run of bytes.
        if let Ok(data) = load("cifar10", &source(root.path())) {
            prop_assert!(data.train == good.train && data.test == good.test);
        }
    }
}
