//! `mnist` and `fashion-mnist`: four IDX files in one folder, compressed or not, under the names in common use.

use std::path::{Path, PathBuf};

use crate::data::{Files, HubSet, Images, Kind, Origin, Source, folder, idx};
use crate::{Error, Result, text};

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
        wanted: "mnist/train-images-idx3-ubyte.gz and its three companions, compressed or not, or MNIST/raw/ as \
                 torchvision lays it out",
        names: &[&NAMES],
        locate: |folder| locate(folder, &["mnist", "MNIST/raw", "MNIST", "raw", ""]),
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
        wanted: "fashion-mnist/train-images-idx3-ubyte.gz and its three companions, compressed or not, or \
                 FashionMNIST/raw/ as torchvision lays it out",
        names: &[&NAMES],
        locate: |folder| locate(folder, &["fashion-mnist", "FashionMNIST/raw", "FashionMNIST", "raw", ""]),
        read,
        hub: HubSet { id: "zalando-datasets/fashion_mnist", config: "fashion_mnist", image: "image", label: "label" },
    }),
    ..MNIST
};

/// The four files by their published names, in the order in which they are read.
const NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// The files in the first of the folders below `root` that has training images.
fn locate(root: &Path, folders: &[&str]) -> Result<Option<Vec<PathBuf>>> {
    for folder in folders.iter().map(|name| root.join(name)) {
        if find(&folder, NAMES[0])?.is_none() {
            continue;
        }
        let found = |name: &&str| {
            let missing = || format!("{name} or {name}.gz is missing; the folder {}", folder::listing(&folder));
            find(&folder, name)?.ok_or_else(|| Error::data(&folder, missing()))
        };
        return NAMES.iter().map(found).collect::<Result<_>>().map(Some);
    }
    Ok(None)
}

/// The file called `name` in `folder`: as published (`-idx3-`) or as on many mirrors (`.idx3-`), compressed or not, or
/// in a folder of its own name.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let mirrored = name.replace("-idx", ".idx");
    let spellings = [name.to_string(), format!("{name}.gz"), mirrored.clone(), format!("{mirrored}.gz")];
    let flat = spellings.iter().map(|file| folder.join(file));
    let inside = |own: &str| spellings.clone().map(|file| folder.join(own).join(file));
    folder::first_file(flat.chain(inside(name)).chain(inside(&mirrored)))
}

fn read(kind: &Kind, files: &[PathBuf], _: &Source) -> Result<[Images; 2]> {
    let [train_images, train_labels, test_images, test_labels] = files else {
        return Err(Error::data(kind.name, "four files are needed"));
    };
    Ok([read_split(kind, train_images, train_labels)?, read_split(kind, test_images, test_labels)?])
}

fn read_split(kind: &Kind, images: &Path, labels: &Path) -> Result<Images> {
    let ([count, height, width], pixels) = idx::read::<3>(images)?;
    if [height, width] != kind.shape[1..] {
        return Err(Error::data(images, format!("images of {height} x {width}, not 28 x 28")));
    }
    let ([labelled], bytes) = idx::read::<1>(labels)?;
    if labelled != count {
        return Err(Error::data(
            labels,
            format!("{} for {}", text::count(labelled, "label"), text::count(count, "image")),
        ));
    }
    Images::new(labels, kind.shape, kind.classes, pixels, bytes.to_vec())
}
