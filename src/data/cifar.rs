//! `cifar10` and `cifar100`: the published binary and Python versions, as folder or archive.
//!
//! A record of the binary version is one label byte (CIFAR-100: coarse, then fine; the fine one is the class) and 3 072
//! pixels: the red plane row by row, then green, then blue. A file of the Python version is a pickled dictionary of the
//! same pixels and labels. The first bytes of a file tell which of the two it is.

use std::path::{Path, PathBuf};

use crate::data::{Files, HubSet, Images, Kind, Origin, Source, archive, folder, gzip, images, magic, pickle};
use crate::text::count;
use crate::{Error, Result};

/// No published file holds more images.
const MAX_RECORDS: usize = 50_000;

/// The differences between the two sets.
struct Layout {
    /// Names in the binary version, training files first, the test file last.
    binary: &'static [&'static str],
    /// Names in the Python version.
    python: &'static [&'static str],
    /// Folders in which the files are looked for.
    folders: &'static [&'static str],
    /// Archives without their endings.
    archives: &'static [&'static str],
    /// Bytes before the pixels of a record; the last of them is the label.
    label_bytes: usize,
    /// The Python version's key of the labels.
    label_key: &'static str,
}

const LAYOUT10: Layout = Layout {
    binary: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
        "test_batch.bin",
    ],
    python: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"],
    folders: &["cifar-10-batches-bin", "cifar-10-batches-py", "cifar10", ""],
    archives: &["cifar-10-binary", "cifar-10-python"],
    label_bytes: 1,
    label_key: "labels",
};

const LAYOUT100: Layout = Layout {
    binary: &["train.bin", "test.bin"],
    python: &["train", "test"],
    folders: &["cifar-100-binary", "cifar-100-python", "cifar100", ""],
    archives: &["cifar-100-binary", "cifar-100-python"],
    label_bytes: 2,
    label_key: "fine_labels",
};

/// Ten classes of small photographs (Krizhevsky 2009).
pub(super) const CIFAR10: Kind = Kind {
    name: "cifar10",
    about: "small photographs in 10 classes",
    shape: [3, 32, 32],
    classes: 10,
    counts: [50_000, 10_000],
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2470, 0.2435, 0.2616],
    augment: true,
    origin: Origin::Files(Files {
        wanted: "cifar-10-binary.tar.gz, or the data_batch_1.bin to data_batch_5.bin and test_batch.bin in it, or \
                 either in the Python version",
        names: &[LAYOUT10.binary, LAYOUT10.python, &["cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"]],
        locate: |folder| locate(folder, &LAYOUT10),
        read: |kind, files, source| read(kind, files, source, &LAYOUT10),
        hub: HubSet { id: "uoft-cs/cifar10", config: "plain_text", image: "img", label: "label" },
    }),
};

/// A hundred fine classes of small photographs (Krizhevsky 2009).
pub(super) const CIFAR100: Kind = Kind {
    name: "cifar100",
    about: "small photographs in 100 classes",
    classes: 100,
    mean: &[0.5071, 0.4865, 0.4409],
    std: &[0.2673, 0.2564, 0.2762],
    origin: Origin::Files(Files {
        wanted: "cifar-100-binary.tar.gz, or the train.bin and test.bin in it, or either in the Python version",
        names: &[LAYOUT100.binary, LAYOUT100.python, &["cifar-100-binary.tar.gz", "cifar-100-python.tar.gz"]],
        locate: |folder| locate(folder, &LAYOUT100),
        read: |kind, files, source| read(kind, files, source, &LAYOUT100),
        hub: HubSet { id: "uoft-cs/cifar100", config: "cifar100", image: "img", label: "fine_label" },
    }),
    ..CIFAR10
};

/// The files of either version in one of the folders below `root`, else an archive there.
fn locate(root: &Path, layout: &Layout) -> Result<Option<Vec<PathBuf>>> {
    for folder in layout.folders.iter().map(|name| root.join(name)) {
        if let Some(files) = version(&folder, layout)? {
            return Ok(Some(files));
        }
    }
    let packed = |name: &&str| [".tar.gz", ".tgz", ".tar"].map(|ending| root.join(format!("{name}{ending}")));
    Ok(folder::first_file(layout.archives.iter().flat_map(packed))?.map(|archive| vec![archive]))
}

/// The files of the version whose first file is in `folder`.
fn version(folder: &Path, layout: &Layout) -> Result<Option<Vec<PathBuf>>> {
    for names in [layout.binary, layout.python] {
        if folder::first_file(names.first().map(|name| folder.join(name)))?.is_none() {
            continue;
        }
        let found = |name: &&str| {
            let missing = || format!("{name} is missing; the folder {}", folder::listing(folder));
            folder::first_file([folder.join(name)])?.ok_or_else(|| Error::data(folder, missing()))
        };
        return names.iter().map(found).collect::<Result<_>>().map(Some);
    }
    Ok(None)
}

fn read(kind: &Kind, files: &[PathBuf], source: &Source, layout: &Layout) -> Result<[Images; 2]> {
    let [archive] = files else { return read_files(kind, files, layout) };
    let versions = [layout.binary, layout.python];
    let folder = archive::unpack(archive, &versions, longest(kind, layout), &source.cache_dir)?;
    let files = version(&folder, layout)?.ok_or_else(|| Error::data(&folder, folder::listing(&folder)))?;
    read_files(kind, &files, layout)
}

fn read_files(kind: &Kind, files: &[PathBuf], layout: &Layout) -> Result<[Images; 2]> {
    let (test, train) = files.split_last().map_or((&[][..], files), |(last, rest)| (std::slice::from_ref(last), rest));
    let place = files.first().and_then(|file| file.parent()).unwrap_or(Path::new("."));
    let part = |files: &[PathBuf]| {
        let parts = files.iter().map(|file| read_file(kind, file, layout)).collect::<Result<Vec<_>>>()?;
        Images::joined(place, kind.shape, parts)
    };
    Ok([part(train)?, part(test)?])
}

fn record_length(kind: &Kind, layout: &Layout) -> usize {
    layout.label_bytes + kind.shape.iter().product::<usize>()
}

/// Upper bound on the length of a file of either version: Python 3 may write a byte as two.
fn longest(kind: &Kind, layout: &Layout) -> u64 {
    2 * (MAX_RECORDS * record_length(kind, layout)) as u64
}

/// The images of one file; the binary version is used in place, without copying.
fn read_file(kind: &Kind, path: &Path, layout: &Layout) -> Result<Images> {
    let bytes = gzip::open(path)?.rest(0, longest(kind, layout) + 1)?;
    let record = record_length(kind, layout);
    let (bytes, before, labels) = if pickle::is_pickle(&bytes) {
        let (pixels, labels) = read_pickle(kind, path, &bytes, layout)?;
        (pixels.into(), 0, labels)
    } else if let Some(name) = other_records(&bytes, record, layout) {
        return Err(Error::data(path, format!("holds records of {name}, not of {}", kind.name)));
    } else if bytes.is_empty() || bytes.len() % record != 0 || bytes.len() > MAX_RECORDS * record {
        let (length, what) = (bytes.len(), magic::describe(&bytes[..bytes.len().min(32)]));
        let why =
            format!("{length} bytes are not 1 to {MAX_RECORDS} records of {record} bytes: truncated or another format");
        return Err(Error::data(path, format!("{why}; it {what}")));
    } else {
        let labels = bytes.chunks_exact(record).map(|record| record[layout.label_bytes - 1]).collect();
        (bytes, layout.label_bytes, labels)
    };
    images::check_labels(&labels, kind.classes).map_err(|why| Error::data(path, why))?;
    Ok(Images::at_intervals(kind.shape, bytes, before, labels))
}

/// The other of the two sets, for files of it in the wrong folder.
fn other(layout: &Layout) -> (&'static str, &'static Layout) {
    if layout.label_bytes == LAYOUT10.label_bytes { ("cifar100", &LAYOUT100) } else { ("cifar10", &LAYOUT10) }
}

/// The name of the other set, if these are its records: of a length that `record`, the own one, does not divide.
fn other_records(bytes: &[u8], record: usize, layout: &Layout) -> Option<&'static str> {
    let (name, other) = other(layout);
    let length = record - layout.label_bytes + other.label_bytes;
    let is_whole = |record: usize| !bytes.is_empty() && bytes.len().is_multiple_of(record);
    (is_whole(length) && !is_whole(record)).then_some(name)
}

/// The pixels and labels of a file of the Python version.
fn read_pickle(kind: &Kind, path: &Path, bytes: &[u8], layout: &Layout) -> Result<(Vec<u8>, Vec<u8>)> {
    let pickle::File { pixels, labels } = pickle::read(bytes, layout.label_key).map_err(|why| {
        let (name, other) = other(layout);
        Error::data(
            path,
            match pickle::read(bytes, other.label_key) {
                Ok(_) => format!("holds records of {name}, not of {}", kind.name),
                Err(_) => format!("a Python pickle, but not CIFAR's: {why}; get the published file"),
            },
        )
    })?;
    if pixels.len() != labels.len() * kind.shape.iter().product::<usize>() {
        return Err(Error::data(path, format!("{} pixel bytes for {}", pixels.len(), count(labels.len(), "label"))));
    }
    Ok((pixels, labels))
}
