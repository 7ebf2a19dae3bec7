//! Runs and sweeps on other data under the same name: never taken for each other, and never scored by how a file is
//! sorted.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use mbn::data::{Images, Source, load};
use serde_json::Value;

fn of(shape: [usize; 3], pixels: Vec<u8>, labels: Vec<u8>) -> Images {
    Images::new(Path::new("memory"), shape, 10, pixels, labels).unwrap()
}

/// The pixels of all images.
fn pixels(images: &Images) -> Vec<u8> {
    images.iter().flat_map(|(image, _)| image.to_vec()).collect()
}

/// The images at `indices`, from the program's own digits.
fn pick(images: &Images, indices: impl IntoIterator<Item = usize>) -> Images {
    let (mut pixels, mut labels) = (vec![], vec![]);
    for i in indices {
        let (image, label) = images.get(i).unwrap();
        pixels.extend_from_slice(image);
        labels.push(label);
    }
    of(images.shape, pixels, labels)
}

/// 400 training and 100 test images, ten classes in turn.
fn digits() -> [Images; 2] {
    let data = load("digits", &Source { hub: false, ..Source::default() }).unwrap();
    [pick(&data.train, 0..400), pick(&data.test, 0..100)]
}

/// The same images, class by class.
fn sorted(images: &Images) -> Images {
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.sort_by_key(|i| images.labels[*i]);
    pick(images, order)
}

/// Writes them as MNIST's files to `dir/NAME`.
fn write(dir: &Path, name: &str, [train, test]: &[Images; 2]) {
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

/// The negatives.
fn negative([train, test]: &[Images; 2]) -> [Images; 2] {
    let inverted = |images: &Images| pixels(images).iter().map(|p| 255 - p).collect();
    [train, test].map(|images| of(images.shape, inverted(images), images.labels.clone()))
}

/// A folder with two data folders, `a` and `b`, which hold other images under the same name.
fn two() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let own = digits();
    write(&dir.path().join("a"), "mnist", &own);
    write(&dir.path().join("b"), "mnist", &negative(&own));
    dir
}

fn mbn(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir).args(args).env_remove("MBN_DATA_DIR").env("MBN_CACHE_DIR", dir.join("cache"));
    command
}

/// `mbn train` on a little MNIST, two epochs if not said otherwise.
fn small(dir: &Path, args: &[&str]) -> Command {
    let mut command = mbn(dir, &["train", "--json", "--model", "mlp", "--norm", "bn", "--batch-size", "10"]);
    command.args(["--val-fraction", "0.1"]).args(args);
    for [flag, value] in [["--dataset", "mnist"], ["--epochs", "2"]] {
        if !args.contains(&flag) {
            command.args([flag, value]);
        }
    }
    command
}

fn train(dir: &Path, data: &str, args: &[&str]) -> Output {
    small(dir, args).args(["--data-dir", data]).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn failed(output: &Output, parts: &[&str]) {
    let message = said(output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

fn runs(dir: &Path) -> Vec<PathBuf> {
    let mut runs: Vec<_> = fs::read_dir(dir.join("results/runs")).unwrap().map(|e| e.unwrap().path()).collect();
    runs.sort();
    runs
}

fn digest(summary: &Value) -> String {
    summary["config"]["data_digest"].as_str().unwrap().to_string()
}

fn folder(dir: &Path, summary: &Value) -> PathBuf {
    dir.join("results/runs").join(summary["run"].as_str().unwrap())
}

#[test]
fn a_finished_run_is_that_of_its_own_data_alone() {
    let dir = two();
    let first = train(dir.path(), "a", &[]);
    let a = json(&first);
    assert!(!said(&first).contains("other data"), "{}", said(&first));
    let second = train(dir.path(), "b", &[]);
    let b = json(&second);
    assert!(!said(&second).contains("already finished"), "{}", said(&second));
    for part in ["same settings on other data", &digest(&a), &digest(&b), a["run"].as_str().unwrap()] {
        assert!(said(&second).contains(part), "`{part}` is not in: {}", said(&second));
    }
    assert_ne!(a["results"], b["results"]);
    assert_eq!(runs(dir.path()).len(), 2);
    let config = fs::read_to_string(folder(dir.path(), &b).join("config.toml")).unwrap();
    assert!(config.contains(&format!("data_digest = \"{}\"", digest(&b))), "{config}");

    // The same images in other files are the same data; those that are gone are not taken for granted.
    write(&dir.path().join("c"), "", &digits());
    let again = train(dir.path(), "c", &[]);
    assert_eq!(json(&again)["results"], a["results"]);
    assert!(said(&again).contains("already finished"), "{}", said(&again));
    failed(&train(dir.path(), "gone", &[]), &["gone", "does not exist"]);
}

#[test]
fn an_interrupted_run_is_not_resumed_on_other_data() {
    let dir = two();
    let a = json(&train(dir.path(), "a", &[]));
    let run = folder(dir.path(), &a);
    fs::remove_file(run.join("summary.json")).unwrap();
    let before = fs::read(run.join("last.safetensors")).unwrap();
    failed(&train(dir.path(), "b", &["--resume"]), &["nothing to resume", "other data", &digest(&a), "--data-dir"]);
    assert_eq!(runs(dir.path()).len(), 1, "nothing is left behind");
    let b = json(&train(dir.path(), "b", &[]));
    let log = fs::read_to_string(folder(dir.path(), &b).join("log.txt")).unwrap();
    assert!(log.contains("start at epoch 0 batch 0"), "{log}");
    assert!(fs::read(run.join("last.safetensors")).unwrap() == before);
    assert_eq!(json(&train(dir.path(), "a", &["--resume"]))["results"], a["results"]);

    // A folder that was given another run's name.
    let other = folder(dir.path(), &b);
    fs::remove_dir_all(&other).unwrap();
    fs::rename(&run, &other).unwrap();
    let both = [digest(&a), digest(&b)];
    failed(&train(dir.path(), "b", &[]), &["other images or labels of mnist", &both[0], &both[1]]);
    fs::remove_file(other.join("summary.json")).unwrap();
    failed(&train(dir.path(), "b", &[]), &["last.safetensors", "other images or labels of mnist", &both[0], &both[1]]);
    assert!(fs::read(other.join("last.safetensors")).unwrap() == before, "nothing is overwritten");
    json(&train(dir.path(), "b", &["--fresh"]));
}

#[test]
fn a_runs_configuration_and_its_splits_belong_to_its_data() {
    let dir = two();
    let a = json(&train(dir.path(), "a", &[]));
    let run = folder(dir.path(), &a);
    let config = run.join("config.toml");
    let with = |data| mbn(dir.path(), &["train", "--data-dir", data, "--config"]).arg(&config).output().unwrap();
    assert!(said(&with("a")).contains("already finished"));
    failed(&with("b"), &["mnist", &digest(&a), "data_digest", "--data-dir"]);
    let eval = |data, split| {
        let args = ["eval", run.to_str().unwrap(), "--json", "--data-dir", data, "--split", split];
        mbn(dir.path(), &args).output().unwrap()
    };
    assert_eq!(json(&eval("a", "val"))["data_digest"], digest(&a));
    for split in ["val", "train"] {
        failed(&eval("b", split), &[&digest(&a), "--data-dir"]);
    }
    let other = eval("b", "test");
    assert_ne!(json(&other)["data_digest"], digest(&a));
    assert!(said(&other).contains("not the data of the training run"), "{}", said(&other));
}

#[test]
fn a_sweep_stays_on_its_data_and_is_counted_without_them() {
    let dir = two();
    let text = "seeds = 2\n[fixed]\ndataset = \"mnist\"\nmodel = \"mlp\"\nnorm = \"bn\"\nbatch_size = 10\nepochs = 1\n";
    fs::write(dir.path().join("s.toml"), text).unwrap();
    let sweep = |args: &[&str]| mbn(dir.path(), &["sweep", "s.toml"]).args(args).output().unwrap();
    let out = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let planned = sweep(&["--dry-run"]);
    assert!(out(&planned).contains("2 runs: 2 new"), "{}", out(&planned));
    assert!(said(&planned).contains("mnist: not on this machine"), "{}", said(&planned));
    failed(&sweep(&[]), &["mnist: not found", "--data-dir"]);
    failed(&sweep(&["--data-dir", "gone"]), &["gone", "does not exist"]);

    let done = sweep(&["--data-dir", "a"]);
    assert!(out(&done).contains("2 runs: 2 done"), "{}", said(&done));
    let remark = "train: 400 images, the complete set has 60000";
    assert_eq!(said(&done).matches(remark).count(), 1, "what holds for every run is said once: {}", said(&done));
    let csv = || fs::read_to_string(dir.path().join("results/s/summary.csv")).unwrap();
    let recorded = fs::read_to_string(dir.path().join("results/s/data.toml")).unwrap();
    let digest = recorded.split('"').nth(1).unwrap().to_string();
    assert_eq!(csv().matches(&digest).count(), 2, "{}", csv());
    assert!(csv().lines().next().unwrap().split(',').any(|column| column == "data_digest"));

    let before = csv();
    for args in [&["--data-dir", "b"][..], &["--data-dir", "b", "--dry-run"], &["--data-dir", "b", "--collect"]] {
        failed(&sweep(args), &["data.toml", "other images or labels of mnist", &digest, "--out"]);
    }
    assert_eq!(csv(), before);
    fs::remove_file(dir.path().join("results/s/summary.csv")).unwrap();
    assert!(out(&sweep(&["--collect"])).contains("2 of 2 runs"));
    assert_eq!(csv(), before);
    assert!(out(&sweep(&["--dry-run"])).contains("0 new, 2 done"));
    assert!(out(&sweep(&["--data-dir", "b", "--out", "other"])).contains("2 done"));
}

#[test]
fn scores_under_batch_statistics_do_not_depend_on_how_the_file_is_sorted() {
    let dir = two();
    let [train_images, test] = digits();
    write(&dir.path().join("sorted"), "mnist", &[sorted(&train_images), sorted(&test)]);
    let run = folder(dir.path(), &json(&train(dir.path(), "a", &["--epochs", "12", "--precise"])));
    let accuracy = |data: &str, args: &[&str]| {
        let output =
            mbn(dir.path(), &["eval", run.to_str().unwrap(), "--json", "--data-dir", data]).args(args).output();
        json(&output.unwrap())["accuracy"].as_f64().unwrap()
    };
    for args in [&["--stats", "batch"][..], &["--stats", "batch", "--test-limit", "50"], &["--test-limit", "20"]] {
        let [mixed, sorted] = ["a", "sorted"].map(|data| accuracy(data, args));
        assert!(mixed > 0.45, "{args:?}: {mixed}");
        assert!((mixed - sorted).abs() < 0.2, "{args:?}: {mixed} in mixed order, {sorted} sorted by class");
    }
    // Re-estimated statistics of a run on the sorted file are taken over mixed batches, too.
    let sorted = json(&train(dir.path(), "sorted", &["--epochs", "12", "--precise"]));
    let score = |stats: &str| {
        let of = |result: &&Value| result["split"] == "test" && result["stats"] == stats;
        sorted["results"].as_array().unwrap().iter().find(of).unwrap()["accuracy"].as_f64().unwrap()
    };
    assert!(score("ema") > 0.45 && (score("ema") - score("precise")).abs() < 0.15, "{sorted}");
}

#[test]
fn a_class_that_is_missing_is_remarked_upon() {
    let dir = two();
    let [train_images, test] = digits();
    let few: Vec<usize> = (0..400).filter(|i| train_images.labels[*i] != 7).collect();
    write(&dir.path().join("few"), "mnist", &[pick(&train_images, few), test]);
    let output = train(dir.path(), "few", &["--test-limit", "4"]);
    let summary = json(&output);
    let log = fs::read_to_string(folder(dir.path(), &summary).join("log.txt")).unwrap();
    for text in [said(&output), log] {
        assert!(text.contains("training images have none of class 7"), "{text}");
        assert!(text.contains("the 4 test images (test_limit = 4) have none of the classes "), "{text}");
    }
    let whole = train(dir.path(), "a", &["--test-limit", "10", "--train-limit", "20"]);
    assert!(!said(&whole).contains("none of"), "{}", said(&whole));
}

#[test]
fn data_that_are_not_what_their_name_says_are_remarked_upon_at_every_use() {
    let dir = two();
    let a = json(&train(dir.path(), "a", &[]));
    write(&dir.path().join("wrong"), "fashion-mnist", &digits());
    let wrong = ["--dataset", "fashion-mnist"];
    let remark = "is not that of fashion-mnist ([0.2860])";
    let trained = train(dir.path(), "wrong", &wrong);
    json(&trained);
    let run = folder(dir.path(), &a);
    let eval = mbn(dir.path(), &["eval", run.to_str().unwrap(), "--data-dir", "wrong"]).args(wrong).output().unwrap();
    let check = mbn(dir.path(), &["data", "check", "fashion-mnist", "--data-dir", "wrong"]).output().unwrap();
    for text in [said(&trained), said(&eval), String::from_utf8_lossy(&check.stdout).into_owned()] {
        assert!(text.contains(remark), "{text}");
    }
}

#[test]
fn an_empty_variable_is_unset_and_a_flag_goes_before_it() {
    let dir = two();
    let with = |value: &str, args: &[&str]| small(dir.path(), args).env("MBN_DATA_DIR", value).output().unwrap();
    failed(&with("", &[]), &["mnist: not found"]);
    assert!(with("", &["--dataset", "digits", "--train-limit", "20", "--test-limit", "20"]).status.success());
    let own = json(&with("a", &[]));
    assert_ne!(digest(&own), digest(&json(&with("a", &["--data-dir", "b"]))));
    assert_eq!(digest(&own), digest(&json(&with("", &["--data-dir", "a"]))));
    fs::write(dir.path().join("s.toml"), "[fixed]\ndataset = \"mnist\"\nmodel = \"mlp\"\nepochs = 1\n").unwrap();
    let sweep = mbn(dir.path(), &["sweep", "s.toml"]).env("MBN_DATA_DIR", "a").output().unwrap();
    assert!(sweep.status.success(), "{}", said(&sweep));
}

/// What a long run says after `change` was made to its training images: it has to fail.
fn after(change: impl Fn(&Path)) -> String {
    let dir = two();
    let mut run = small(dir.path(), &["--epochs", "1000000"])
        .args(["--data-dir", "a"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(messages.any(|line| line.contains("epoch 1/")));
    change(&dir.path().join("a/mnist/train-images-idx3-ubyte"));
    let rest: Vec<String> = messages.collect();
    assert_eq!(run.wait().unwrap().code(), Some(1), "{rest:?}");
    rest.join("\n")
}

#[test]
fn a_run_does_not_go_on_with_data_that_have_been_written_to() {
    // What is there already: the file's time alone changes.
    let rewrite = |images: &Path| {
        let mut file = fs::OpenOptions::new().write(true).open(images).unwrap();
        file.write_all(&[0, 0, 8, 3]).unwrap();
    };
    let said = after(rewrite);
    assert!(said.contains("train-images-idx3-ubyte: has been written to while it was in use"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_whose_data_are_cut_short_says_so() {
    let said = after(|images| fs::OpenOptions::new().write(true).open(images).unwrap().set_len(1000).unwrap());
    // The latter where it happens between the epoch's last batch and its record.
    assert!(said.contains("a data file was cut short") || said.contains("has been written to"), "{said}");
}

#[test]
fn processes_of_a_sweep_on_mapped_files_end_as_on_compressed_ones() {
    let dir = two();
    let packed = dir.path().join("packed/mnist");
    fs::create_dir_all(&packed).unwrap();
    for entry in fs::read_dir(dir.path().join("a/mnist")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{}.gz", path.file_name().unwrap().to_str().unwrap());
        let mut encoder = GzEncoder::new(fs::File::create(packed.join(name)).unwrap(), Compression::fast());
        encoder.write_all(&fs::read(path).unwrap()).unwrap();
        encoder.finish().unwrap();
    }
    let fixed =
        "dataset = \"mnist\"\nmodel = \"mlp\"\nnorm = \"bn\"\nbatch_size = 10\nepochs = 2\nval_fraction = 0.2\n";
    let text = format!("seeds = 2\n[fixed]\n{fixed}train_limit = 200\n[grid]\naugment = [true, false]\n");
    fs::write(dir.path().join("s.toml"), text).unwrap();
    let losses = |data: &str| {
        let args = ["sweep", "s.toml", "--jobs", "2", "--data-dir", data, "--out", data];
        let output = mbn(dir.path(), &args).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let mut reader = csv::Reader::from_path(dir.path().join(data).join("summary.csv")).unwrap();
        let columns = ["run", "data_digest", "train_loss", "val_loss", "test_loss"];
        let header = reader.headers().unwrap().clone();
        let places = columns.map(|name| header.iter().position(|column| column == name).unwrap());
        let rows = reader.records().map(|row| places.map(|place| row.as_ref().unwrap()[place].to_string()));
        rows.collect::<Vec<_>>()
    };
    let (mapped, packed) = (losses("a"), losses("packed"));
    assert_eq!(mapped.len(), 4);
    assert_eq!(mapped, packed);
}
