//! Data under unpublished names or in other containers: read where it is clear what they are, else reported.

use std::fs;
use std::path::Path;

use mbn::data::{Dataset, load};
use tempfile::tempdir;

use crate::fixture::*;

/// The small MNIST, its four files written to `data/` under names changed by `name`.
fn mnist_as(name: impl Fn(&str) -> String) -> Dataset {
    let root = tempdir().unwrap();
    for (published, bytes) in mnist() {
        put(&root.path().join("data").join(name(published)), &bytes);
    }
    load("mnist", &source(root.path())).unwrap()
}

/// The message about `data/` with one file of these bytes in it.
fn message(name: &str, bytes: &[u8]) -> String {
    let root = tempdir().unwrap();
    put(&root.path().join("data").join(name), bytes);
    load("mnist", &source(root.path())).expect_err("was accepted").to_string()
}

#[test]
fn the_names_of_mirrors_and_tools_are_read() {
    let published = mnist_as(|name| format!("mnist/{name}"));
    let dotted = |name: &str| name.replace("-idx", ".idx");
    for found in [
        mnist_as(dotted),
        mnist_as(|name| format!("{name}/{name}")),
        mnist_as(|name| format!("{}/{}", dotted(name), dotted(name))),
        mnist_as(|name| format!("mnist/{}/{name}", dotted(name))),
        mnist_as(|name| format!("MNIST/{name}")),
        mnist_as(|name| format!("raw/{name}")),
    ] {
        assert!((&found.train, &found.test) == (&published.train, &published.test), "{}", found.origin);
        assert_eq!(found.digest, published.digest, "the same data, wherever they are: {}", found.origin);
    }
}

#[test]
fn compression_is_told_by_the_contents() {
    let whole = mnist_as(|name| format!("mnist/{name}"));
    let zeros = |bytes: &[u8]| [gz(bytes), vec![0; 512]].concat();
    let members = |bytes: &[u8]| [gz(&bytes[..9]), vec![0; 3], gz(&bytes[9..])].concat();
    type Wrap<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let cases: [(&str, Wrap); 5] = [
        ("", &|bytes| gz(bytes)),
        (".gz", &|bytes| bytes.to_vec()),
        (".gz", &|bytes| gz(&gz(bytes))),
        (".gz", &zeros),
        (".gz", &members),
    ];
    for (i, (ending, wrap)) in cases.iter().enumerate() {
        let root = tempdir().unwrap();
        for (name, bytes) in mnist() {
            put(&root.path().join(format!("data/mnist/{name}{ending}")), &wrap(&bytes));
        }
        // What an interrupted `gunzip` leaves beside its input.
        put(&root.path().join("data/mnist/train-images.idx3-ubyte"), b"");
        let found = load("mnist", &source(root.path())).unwrap();
        assert!((&found.train, &found.test) == (&whole.train, &whole.test), "case {i}");
    }
    let images = gz(&mnist()[0].1);
    let refusal = message("mnist/train-images-idx3-ubyte.gz", &[&images[..], b"\0\0rest"].concat());
    assert!(refusal.contains("missing"), "{refusal}");
    let root = tempdir().unwrap();
    for (name, bytes) in mnist() {
        put(&root.path().join(format!("data/mnist/{name}.gz")), &[gz(&bytes), b"\0\0rest".to_vec()].concat());
    }
    let refusal = load("mnist", &source(root.path())).unwrap_err().to_string();
    assert!(refusal.contains("neither gzip nor zeros"), "{refusal}");
}

#[test]
fn the_python_version_of_cifar_is_read_from_folders_whatever_its_files_are_called() {
    let load_as = |folder: &str, ending: &str, encode: &dyn Fn(&[u8]) -> Vec<u8>| {
        let root = tempdir().unwrap();
        for (name, bytes) in cifar10() {
            put(&root.path().join("data").join(folder).join(name.replace(".bin", ending)), &encode(&bytes));
        }
        load("cifar10", &source(root.path())).unwrap()
    };
    let binary = load_as("cifar-10-batches-bin", ".bin", &|bytes| bytes.to_vec());
    for (i, found) in [
        load_as("cifar-10-batches-py", "", &pickled),
        load_as("cifar-10-batches-bin", ".bin", &pickled),
        load_as("", "", &pickled_by_python_3),
    ]
    .iter()
    .enumerate()
    {
        assert!((&found.train, &found.test) == (&binary.train, &binary.test), "case {i}");
    }
}

/// As Python 3 writes bytes under protocol 2: as text, to be encoded when read.
fn pickled_by_python_3(records: &[u8]) -> Vec<u8> {
    let (labels, pixels) = split_records(records);
    let text = |bytes: &[u8]| {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let length = (text.len() as u32).to_le_bytes();
        [b"c_codecs\nencode\nX", &length[..], text.as_bytes(), b"X\x06\0\0\0latin1\x86R"].concat()
    };
    let count = (labels.len() as u16).to_le_bytes();
    let list: Vec<u8> = labels.iter().flat_map(|label| [b'K', *label]).collect();
    let array = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85c_codecs\nencode\nX\x01\0\0\0bX\x06\0\0\0latin1\x86R\x87R";
    let dtype = b"M\0\x0c\x86cnumpy\ndtype\nX\x02\0\0\0u1\x89\x88\x87R(K\x03X\x01\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89";
    let parts: [&[u8]; 12] = [
        b"\x80\x02}q\0(",
        &text(b"labels"),
        b"](",
        &list,
        b"e",
        &text(b"data"),
        array,
        b"(K\x01M",
        &count,
        dtype,
        &text(&pixels),
        b"tbu.",
    ];
    parts.concat()
}

#[test]
fn a_pickle_of_something_else_is_refused() {
    let other = |bytes: &[u8]| {
        let root = tempdir().unwrap();
        for (name, _) in cifar10() {
            put(&root.path().join("data/cifar-10-batches-py").join(name.replace(".bin", "")), bytes);
        }
        load("cifar10", &source(root.path())).expect_err("was accepted").to_string()
    };
    let (_, records) = cifar10().swap_remove(0);
    let good = pickled(&records);
    for (bytes, part) in [
        (&b"\x80\x02}."[..], "no entry `data`"),
        (b"\x80\x02]q\x00.", "no dictionary"),
        (b"\x80\x02cos\nsystem\nU\x04true\x85R.", "no dictionary"),
        (b"\x80\x02}(U\x04data", "truncated"),
        (b"\x80\x02\xfe", "0xfe is not supported"),
        (&good[..good.len() - 100], "truncated"),
        (&[b"\x80\x02)", &[0x85; 1 << 20][..], b"."].concat(), "no dictionary"),
        (&[b"\x80\x02", &[b']'; 1 << 20][..], &[b'a'; (1 << 20) - 1], b"."].concat(), "no dictionary"),
    ] {
        let message = other(bytes);
        assert!(message.contains(part) && message.contains("data_batch_1"), "{part}: {message}");
    }
    for at in 0..good.len().min(200) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        let root = tempdir().unwrap();
        for (name, _) in cifar10() {
            put(&root.path().join("data/cifar-10-batches-py").join(name.replace(".bin", "")), &bytes);
        }
        // Refused, or read where the damage has no effect; never a panic.
        let _ = load("cifar10", &source(root.path()));
    }
}

#[test]
fn what_is_nearly_the_data_set_is_named_with_the_command_that_mends_it() {
    for (name, parts) in [
        ("emnist-letters-train-images-idx3-ubyte.gz", &["EMNIST", "put the files of mnist beside it"][..]),
        ("mnist/emnist-digits-train-images-idx3-ubyte", &["EMNIST"]),
        ("archive.zip", &["unzip ", "/data/archive.zip -d "]),
        ("my data.zip", &["my data.zip' -d "]),
        ("train-images-idx3-ubyte.gz.part", &["unfinished download"]),
        ("mnist.parquet", &["published files"]),
        ("MNIST/processed/training.pt", &["processed/training.pt", "published files"]),
        ("mnist/train-images-idx3-ubyte.bz2", &["compressed by bzip2: bunzip2 ", "/mnist/train-images-idx3-ubyte.bz2"]),
        ("mnist/train-images-idx3-ubyte (1).gz", &["mv '", "(1).gz' ", "/mnist/train-images-idx3-ubyte.gz."]),
        ("mnist/TRAIN-IMAGES.IDX3-UBYTE", &["has another name than train-images.idx3-ubyte: mv "]),
        ("mnist/train-images-idx3-ubyte.gz/notes", &["idx3-ubyte.gz is a folder, not the file of that name"]),
        ("notes.txt", &["/data holds notes.txt"]),
    ] {
        let message = message(name, b"x");
        for part in parts.iter().chain(&["not found", "--data-dir", "mbn data fetch mnist"]) {
            assert!(message.contains(part), "{name}: `{part}` is not in: {message}");
        }
    }
}

#[test]
fn records_of_the_other_cifar_are_called_so() {
    let (_, ten) = cifar10().swap_remove(0);
    let hundred: Vec<u8> = ten.chunks(3073).flat_map(|record| [&[3][..], record].concat()).collect();
    let refused = |set: &str, name: &str, bytes: &[u8]| {
        let root = tempdir().unwrap();
        for published in cifar10().into_iter().map(|(name, _)| name).chain(["train.bin".into(), "test.bin".into()]) {
            put(&root.path().join("data").join(published), bytes);
        }
        let message = load(set, &source(root.path())).expect_err("was accepted").to_string();
        assert!(message.contains(name), "{message}");
    };
    refused("cifar10", "holds records of cifar100, not of cifar10", &hundred);
    refused("cifar100", "holds records of cifar10, not of cifar100", &ten);
    refused("cifar100", "holds records of cifar10, not of cifar100", &pickled(&ten));
}

#[cfg(unix)]
#[test]
fn a_link_that_points_nowhere_is_called_so() {
    let root = tempdir().unwrap();
    let link = root.path().join("data/mnist/train-images-idx3-ubyte.gz");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/no/such/disk/images.gz", &link).unwrap();
    let message = load("mnist", &source(root.path())).unwrap_err().to_string();
    assert!(message.contains("is a link that points nowhere, to /no/such/disk/images.gz"), "{message}");

    for (name, bytes) in mnist() {
        put(&root.path().join("data/mnist").join(name), &bytes);
    }
    let labels = root.path().join("data/mnist/t10k-labels-idx1-ubyte");
    fs::remove_file(&labels).unwrap();
    std::os::unix::fs::symlink("gone", &labels).unwrap();
    let message = load("mnist", &source(root.path())).unwrap_err().to_string();
    assert!(message.contains("missing") && message.contains("ubyte (a link that points nowhere)"), "{message}");
}

#[test]
fn the_folder_that_holds_the_data_is_suggested() {
    let root = tempdir().unwrap();
    for (name, bytes) in mnist() {
        put(&root.path().join("data/sets/mnist").join(name), &bytes);
    }
    let message = load("mnist", &source(root.path())).unwrap_err().to_string();
    assert!(message.contains("--data-dir ") && message.contains("/data/sets."), "{message}");

    // Another data set of the same format.
    for (own, other) in [("fashion-mnist", "mnist"), ("mnist", "FashionMNIST")] {
        let root = tempdir().unwrap();
        for (name, bytes) in mnist() {
            put(&root.path().join("data").join(other).join(name), &bytes);
        }
        let message = load(own, &source(root.path())).unwrap_err().to_string();
        assert!(message.contains(&format!("/data holds {other}/.")) && !message.contains("subfolder"), "{message}");
    }

    put(&root.path().join("data/file"), b"x");
    let mut here = source(root.path());
    here.data_dir = Some(root.path().join("data/file"));
    let message = load("mnist", &here).unwrap_err().to_string();
    assert!(message.contains("is a file") && message.ends_with("/data"), "{message}");
}

/// Root may read everything, so this tests nothing when run by root.
#[cfg(unix)]
#[test]
fn a_closed_folder_and_a_closed_file_are_named_with_the_command_that_opens_them() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempdir().unwrap();
    for (name, bytes) in mnist() {
        put(&root.path().join("data/mnist").join(name), &bytes);
    }
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let (folder, file) = (root.path().join("data/mnist"), root.path().join("data/mnist/train-images-idx3-ubyte"));
    for (path, open) in [(&folder, 0o755), (&file, 0o644), (&root.path().join("data"), 0o755)] {
        mode(path, 0);
        let message = load("mnist", &source(root.path())).err().map(|error| error.to_string());
        mode(path, open);
        let Some(message) = message else { continue };
        assert!(message.contains(&format!("chmod -R u+rX {}", path.display())), "{message}");
    }
}
