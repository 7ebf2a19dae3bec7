//! Scores do not depend on the order of images in a file.

use serde_json::Value;

use crate::support::{digits, folder, json, mbn, sorted, train, two, write};

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
