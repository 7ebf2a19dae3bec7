//! `mnist` and `fashion-mnist`: four IDX files in one folder, plain or gzip-compressed, as published.

use std::path::{Path, PathBuf};

use crate::data::{idx, Files, HubSet, Images, Kind, Origin, Source};
use crate::{Error, Result};

/// Handwritten digits (LeCun, Bottou, Bengio, Haffner 1998).
pub(super) const MNIST: Kind = Kind {
    name: "mnist",
    about: "handwritten digits",
    shape: [1, 28, 28],
    classes: 10,
    counts: [60_000, 10_000],
    mean: &[0.1307],
    std: &[0.3081],
    augment: false,
    origin: Origin::Files(Files {
        markers: &[
            "mnist/train-images-idx3-ubyte",
            "mnist/train-images-idx3-ubyte.gz",
            "MNIST/raw/train-images-idx3-ubyte",
            "MNIST/raw/train-images-idx3-ubyte.gz",
            "train-images-idx3-ubyte",
            "train-images-idx3-ubyte.gz",
        ],
        read,
        hub: HubSet { id: "ylecun/mnist", config: "mnist", image: "image", label: "label" },
    }),
};

/// Articles of clothing (Xiao, Rasul, Vollgraf 2017).
pub(super) const FASHION_MNIST: Kind = Kind {
    name: "fashion-mnist",
    about: "articles of clothing, in MNIST's format",
    mean: &[0.2860],
    std: &[0.3530],
    origin: Origin::Files(Files {
        markers: &[
            "fashion-mnist/train-images-idx3-ubyte",
            "fashion-mnist/train-images-idx3-ubyte.gz",
            "FashionMNIST/raw/train-images-idx3-ubyte",
            "FashionMNIST/raw/train-images-idx3-ubyte.gz",
            "train-images-idx3-ubyte",
            "train-images-idx3-ubyte.gz",
        ],
        read,
        hub: HubSet { id: "zalando-datasets/fashion_mnist", config: "fashion_mnist", image: "image", label: "label" },
    }),
    ..MNIST
};

fn read(kind: &Kind, marker: &Path, _: &Source) -> Result<[Images; 2]> {
    let folder = marker.parent().unwrap_or(Path::new("."));
    Ok([read_split(kind, folder, "train")?, read_split(kind, folder, "t10k")?])
}

fn read_split(kind: &Kind, folder: &Path, split: &str) -> Result<Images> {
    let path = either(folder, &format!("{split}-images-idx3-ubyte"))?;
    let ([count, height, width], pixels) = idx::read::<3>(&path)?;
    if [height, width] != kind.shape[1..] {
        return Err(Error::data(path, format!("pictures of {height} x {width}, not 28 x 28")));
    }
    let labels_path = either(folder, &format!("{split}-labels-idx1-ubyte"))?;
    let ([labelled], labels) = idx::read::<1>(&labels_path)?;
    if labelled != count {
        return Err(Error::data(labels_path, format!("{labelled} labels for {count} pictures")));
    }
    Images::new(&labels_path, kind.shape, kind.classes, pixels, labels)
}

/// The file called `name`, else the one called `name`.gz.
fn either(folder: &Path, name: &str) -> Result<PathBuf> {
    let (plain, gz) = (folder.join(name), folder.join(format!("{name}.gz")));
    match (plain.exists(), gz.exists()) {
        (true, _) => Ok(plain),
        (_, true) => Ok(gz),
        _ => Err(Error::data(folder, format!("{name} or {name}.gz is missing"))),
    }
}
