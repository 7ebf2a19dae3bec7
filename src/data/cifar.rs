//! `cifar10` and `cifar100`: the published binary versions, as folder or archive.
//!
//! A record is one label byte (CIFAR-100: coarse, then fine; the fine one is the class) and 3 072 pixels: the red plane
//! row by row, then green, then blue.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::data::{archive, idx, Files, HubSet, Images, Kind, Origin, Source};
use crate::{Error, Result};

/// No published file holds more pictures.
const MAX_RECORDS: usize = 50_000;

const TRAIN10: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// Ten classes of small photographs (Krizhevsky 2009).
pub(super) const CIFAR10: Kind = Kind {
    name: "cifar10",
    about: "small photographs of ten kinds",
    shape: [3, 32, 32],
    classes: 10,
    counts: [50_000, 10_000],
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2470, 0.2435, 0.2616],
    augment: true,
    origin: Origin::Files(Files {
        markers: &["cifar-10-batches-bin/data_batch_1.bin", "data_batch_1.bin", "cifar-10-binary.tar.gz"],
        read: |kind, marker, source| read(kind, marker, source, &TRAIN10, "test_batch.bin", 1),
        hub: HubSet { id: "uoft-cs/cifar10", config: "plain_text", image: "img", label: "label" },
    }),
};

/// A hundred fine classes of small photographs (Krizhevsky 2009).
pub(super) const CIFAR100: Kind = Kind {
    name: "cifar100",
    about: "small photographs of a hundred kinds",
    classes: 100,
    mean: &[0.5071, 0.4865, 0.4409],
    std: &[0.2673, 0.2564, 0.2762],
    origin: Origin::Files(Files {
        markers: &["cifar-100-binary/train.bin", "train.bin", "cifar-100-binary.tar.gz"],
        read: |kind, marker, source| read(kind, marker, source, &["train.bin"], "test.bin", 2),
        hub: HubSet { id: "uoft-cs/cifar100", config: "cifar100", image: "img", label: "fine_label" },
    }),
    ..CIFAR10
};

fn read(
    kind: &Kind,
    marker: &Path,
    source: &Source,
    train: &[&str],
    test: &str,
    label_bytes: usize,
) -> Result<[Images; 2]> {
    let folder = if marker.extension().is_some_and(|e| e == "gz") {
        let limit = MAX_RECORDS * (label_bytes + kind.shape.iter().product::<usize>());
        archive::unpack(marker, &[train, &[test]].concat(), limit as u64, &source.cache_dir)?
    } else {
        marker.parent().unwrap_or(Path::new(".")).to_path_buf()
    };
    Ok([read_files(kind, &folder, train, label_bytes)?, read_files(kind, &folder, &[test], label_bytes)?])
}

/// The records of several files, one after the other.
fn read_files(kind: &Kind, folder: &Path, names: &[&str], label_bytes: usize) -> Result<Images> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let record = label_bytes + kind.shape.iter().product::<usize>();
    for name in names {
        let path = folder.join(name);
        let bytes = read_records(&path, record)?;
        let from = labels.len();
        labels.extend(bytes.chunks_exact(record).map(|r| r[label_bytes - 1]));
        bytes.chunks_exact(record).for_each(|r| pixels.extend_from_slice(&r[label_bytes..]));
        if let Some(i) = labels[from..].iter().position(|&l| usize::from(l) >= kind.classes) {
            let label = labels[from + i];
            return Err(Error::data(path, format!("label {label} of record {i} is not below {}", kind.classes)));
        }
    }
    Images::new(folder, kind.shape, kind.classes, pixels, labels)
}

/// The bytes of a file that must hold a whole number of records.
fn read_records(path: &Path, record: usize) -> Result<Vec<u8>> {
    let length = idx::file_length(path)?;
    if length % record as u64 != 0 || length > (MAX_RECORDS * record) as u64 {
        let reason =
            format!("{length} bytes is not 1 to {MAX_RECORDS} records of {record}: truncated or another format");
        return Err(Error::data(path, reason));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    File::open(path).and_then(|f| f.take(length).read_to_end(&mut bytes)).map_err(Error::io(path))?;
    if bytes.len() as u64 != length {
        return Err(Error::data(path, "changed while it was read"));
    }
    Ok(bytes)
}
