//! Messages about the data in use.

use std::fs;

use crate::support::{digest, digits, failed, folder, json, mbn, pick, said, small, train, two, write};

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
        assert!(text.contains("training images include none of class 7"), "{text}");
        assert!(text.contains("the 4 test images (test_limit = 4) include none of the classes "), "{text}");
    }
    let finished = said(&train(dir.path(), "few", &["--test-limit", "4", "--quiet"]));
    let repeated = said(&train(dir.path(), "few", &["--test-limit", "4", "--quiet", "--fresh"]));
    for text in [finished, repeated] {
        assert!(text.contains("include none of class 7") && !text.contains("epoch 1/"), "{text}");
    }
    let single = said(&train(dir.path(), "few", &["--test-limit", "1"]));
    assert!(single.contains("the 1 test image (test_limit = 1) includes none of the classes"), "{single}");
    let whole = train(dir.path(), "a", &["--test-limit", "10", "--train-limit", "20"]);
    assert!(!said(&whole).contains("none of"), "{}", said(&whole));
    assert!(!said(&whole).contains("no effect"), "{}", said(&whole));
    let beyond = said(&train(dir.path(), "a", &["--test-limit", "100000", "--train-limit", "100001"]));
    for part in ["test_limit = 100000 has no effect", "train_limit = 100001 has no effect"] {
        assert!(beyond.contains(part), "`{part}` is not in: {beyond}");
    }
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
    failed(&with("gone", &[]), &["gone: the data folder that MBN_DATA_DIR names does not exist"]);
    failed(&with("gone", &["--data-dir", "lost"]), &["lost: the data folder that --data-dir names does not exist"]);
    failed(&with("a/mnist/t10k-labels-idx1-ubyte", &[]), &["is a file", "MBN_DATA_DIR=a/mnist"]);
    assert!(with("", &["--dataset", "digits", "--train-limit", "20", "--test-limit", "20"]).status.success());
    let own = json(&with("a", &[]));
    assert_ne!(digest(&own), digest(&json(&with("a", &["--data-dir", "b"]))));
    assert_eq!(digest(&own), digest(&json(&with("", &["--data-dir", "a"]))));
    fs::write(dir.path().join("s.toml"), "[fixed]\ndataset = \"mnist\"\nmodel = \"mlp\"\nepochs = 1\n").unwrap();
    let sweep = mbn(dir.path(), &["sweep", "s.toml"]).env("MBN_DATA_DIR", "a").output().unwrap();
    assert!(sweep.status.success(), "{}", said(&sweep));
}
