//! A run is tied to its data.

use std::fs;

use crate::support::{digest, digits, failed, folder, json, mbn, runs, said, train, two, write};

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

    // The same images in other files are the same data; missing files are an error.
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
        failed(&eval("b", split), &[&digest(&a), split, "--data-dir", "--split test"]);
    }
    let weigh = |more: &[&str]| {
        let args = ["eval", run.to_str().unwrap(), "--json", "--data-dir", "b", "--stats", "weighing"];
        mbn(dir.path(), &args).args(more).output().unwrap()
    };
    failed(&weigh(&[]), &[&digest(&a), "held out", "--data-dir", "--weight"]);
    json(&weigh(&["--weight", "0.5"]));
    let other = eval("b", "test");
    assert_ne!(json(&other)["data_digest"], digest(&a));
    assert!(said(&other).contains("not the data of the training run"), "{}", said(&other));
}
