//! A small MNIST under several names, and the program run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mbn::data::{Images, Source, load};
use serde_json::Value;

pub fn of(shape: [usize; 3], pixels: Vec<u8>, labels: Vec<u8>) -> Images {
    Images::new(Path::new("memory"), shape, 10, pixels, labels).unwrap()
}

/// The pixels of all images.
pub fn pixels(images: &Images) -> Vec<u8> {
    images.iter().flat_map(|(image, _)| image.to_vec()).collect()
}

/// The images at `indices`, from the program's own digits.
pub fn pick(images: &Images, indices: impl IntoIterator<Item = usize>) -> Images {
    let (mut pixels, mut labels) = (vec![], vec![]);
    for i in indices {
        let (image, label) = images.get(i).unwrap();
        pixels.extend_from_slice(image);
        labels.push(label);
    }
    of(images.shape, pixels, labels)
}

/// 400 training and 100 test images, ten classes in turn.
pub fn digits() -> [Images; 2] {
    let data = load("digits", &Source { hub: false, ..Source::default() }).unwrap();
    [pick(&data.train, 0..400), pick(&data.test, 0..100)]
}

/// The same images, class by class.
pub fn sorted(images: &Images) -> Images {
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.sort_by_key(|i| images.labels[*i]);
    pick(images, order)
}

/// Writes them as MNIST's files to `dir/NAME`.
pub fn write(dir: &Path, name: &str, [train, test]: &[Images; 2]) {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).unwrap();
    for (part, images) in [("train", train), ("t10k", test)] {
        let count = (images.len() as u32).to_be_bytes();
        let size = [0, 0, 0, 28, 0, 0, 0, 28];
        let file = |kind: &str| folder.join(format!("{part}-{kind}-ubyte"));
        fs::write(file("images-idx3"), [&[0, 0, 8, 3][..], &count, &size, &pixels(images)].concat()).unwrap();
        fs::write(file("labels-idx1"), [&[0, 0, 8, 1][..], &count, &images.labels].concat()).unwrap();
    }
}

/// The inverted images.
pub fn negative([train, test]: &[Images; 2]) -> [Images; 2] {
    let inverted = |images: &Images| pixels(images).iter().map(|p| 255 - p).collect();
    [train, test].map(|images| of(images.shape, inverted(images), images.labels.clone()))
}

/// A folder with two data folders, `a` and `b`, which hold different images under the same name.
pub fn two() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let own = digits();
    write(&dir.path().join("a"), "mnist", &own);
    write(&dir.path().join("b"), "mnist", &negative(&own));
    dir
}

pub fn mbn(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir).args(args).env_remove("MBN_DATA_DIR").env("MBN_CACHE_DIR", dir.join("cache"));
    command
}

/// `mbn train` on a small MNIST, two epochs unless said otherwise.
pub fn small(dir: &Path, args: &[&str]) -> Command {
    let mut command = mbn(dir, &["train", "--json", "--model", "mlp", "--norm", "bn", "--batch-size", "10"]);
    command.args(["--val-fraction", "0.1"]).args(args);
    for [flag, value] in [["--dataset", "mnist"], ["--epochs", "2"]] {
        if !args.contains(&flag) {
            command.args([flag, value]);
        }
    }
    command
}

pub fn train(dir: &Path, data: &str, args: &[&str]) -> Output {
    small(dir, args).args(["--data-dir", data]).output().unwrap()
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
pub fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
pub fn failed(output: &Output, parts: &[&str]) {
    let message = said(output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

pub fn runs(dir: &Path) -> Vec<PathBuf> {
    let mut runs: Vec<_> = fs::read_dir(dir.join("results/runs")).unwrap().map(|e| e.unwrap().path()).collect();
    runs.sort();
    runs
}

pub fn digest(summary: &Value) -> String {
    summary["config"]["data_digest"].as_str().unwrap().to_string()
}

pub fn folder(dir: &Path, summary: &Value) -> PathBuf {
    dir.join("results/runs").join(summary["run"].as_str().unwrap())
}
