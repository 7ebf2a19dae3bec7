//! A sweep is tied to its data, independent of how these are stored.

use std::fs;
use std::io::Write;
use std::process::Output;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::{failed, mbn, said, two};

#[test]
fn a_sweep_stays_on_its_data_and_is_counted_without_them() {
    let dir = two();
    let text = "seeds = 2\n[fixed]\ndataset = \"mnist\"\nmodel = \"mlp\"\nnorm = \"bn\"\nbatch_size = 10\nepochs = 1\n";
    fs::write(dir.path().join("s.toml"), text).unwrap();
    let sweep = |args: &[&str]| mbn(dir.path(), &["sweep", "s.toml"]).args(args).output().unwrap();
    let out = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let planned = sweep(&["--dry-run"]);
    assert!(out(&planned).contains("2 runs: 2 new"), "{}", out(&planned));
    assert!(said(&planned).contains("mnist: not found on this machine"), "{}", said(&planned));
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
    fs::write(dir.path().join("file"), "").unwrap();
    for (folder, why) in [("gone", "--data-dir names does not exist"), ("file", "is a file, not a folder")] {
        for more in [&[][..], &["--dry-run"], &["--collect"]] {
            failed(&sweep(&[&["--data-dir", folder], more].concat()), &[folder, why]);
        }
    }
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
