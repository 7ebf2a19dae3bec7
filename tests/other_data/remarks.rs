//! Files that are sorted, incomplete or not what their name says.

use std::fs;

use serde_json::Value;

use crate::support::{digits, folder, json, mbn, pick, said, sorted, train, two, write};

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
