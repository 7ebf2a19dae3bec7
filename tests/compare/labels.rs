//! Runs with different settings are never averaged, wherever they are read from.

use std::fs;
use std::path::Path;

use super::support::{FakeRun, HEADER, cell, compare, json, near};

const COLUMNS: &str = "run,label,dataset,model,norm,double_forward,batch_size,norm_batch_size,seed,epochs,lr,momentum,augment,\
                       test_accuracy,status\n";

/// A row of a sweep's summary under the automatic label.
fn row(batch: usize, micro: usize, seed: u64, varied: &str, accuracy: f64) -> String {
    let name = format!("{batch}-{micro}-{seed}-{varied}");
    let name = name.replace(',', "-");
    format!("{name},mbn,digits,lenet,mbn,false,{batch},{micro},{seed},3,{varied},{accuracy},done\n")
}

fn labels(json: &serde_json::Value) -> Vec<&str> {
    json["sections"][0]["groups"].as_array().unwrap().iter().map(|group| group["label"].as_str().unwrap()).collect()
}

/// A comparison of one summary with these rows.
#[track_caller]
fn summary(rows: &str) -> (tempfile::TempDir, serde_json::Value) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("summary.csv"), format!("{COLUMNS}{rows}")).unwrap();
    let json = json(&[dir.path()], &[]);
    (dir, json)
}

#[test]
fn an_axis_of_the_grid_is_part_of_the_automatic_label() {
    let runs = |varied: &str, accuracy: f64| (1..=3).map(|seed| row(4, 4, seed, varied, accuracy)).collect::<String>();
    for (first, second, names) in [
        ("0.1,0.9,true", "0.4,0.9,true", ["mbn lr=0.1", "mbn lr=0.4"]),
        ("0.1,0.5,true", "0.1,0.9,true", ["mbn momentum=0.5", "mbn momentum=0.9"]),
        ("0.1,0.9,false", "0.1,0.9,true", ["mbn augment=false", "mbn augment=true"]),
    ] {
        let (dir, json) = summary(&(runs(first, 0.5) + &runs(second, 0.9)));
        assert_eq!(labels(&json), names);
        near(&cell(&json, "accuracy", 4, names[0])["mean"], 0.5);
        near(&cell(&json, "accuracy", 4, names[1])["mean"], 0.9);
        assert_eq!(compare(&[dir.path()], &[]).err, "", "nothing is averaged, so nothing is to be said");
    }
}

#[test]
fn the_normalization_batch_under_one_label_is_told_apart_too() {
    let rows: String = [(4, 2, 0.2), (4, 4, 0.4), (8, 2, 0.6), (8, 8, 0.8)]
        .map(|(batch, micro, accuracy)| row(batch, micro, 1, "0.1,0.9,true", accuracy))
        .concat();
    let (_dir, json) = summary(&rows);
    near(&cell(&json, "accuracy", 4, "mbn nb=2")["mean"], 0.2);
    near(&cell(&json, "accuracy", 8, "mbn")["mean"], 0.8);
}

#[test]
fn rates_that_belong_to_the_batch_size_leave_a_label_one_method() {
    let rows = row(4, 4, 1, "0.1,0.9,true", 0.5) + &row(8, 8, 1, "0.4,0.9,true", 0.6);
    assert_eq!(labels(&summary(&rows).1), ["mbn"]);
}

#[test]
fn folders_under_a_sweep_s_labels_are_told_apart_by_their_configurations() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let mut rows = String::new();
    for seed in 0..2 {
        for (settings, accuracy) in [("momentum = 0.5", 0.5), ("momentum = 0.25", 0.9)] {
            let run = FakeRun { settings, ..FakeRun::new("bn", 4, seed, accuracy) };
            run.write(&runs);
            rows += &format!("{},tuned,digits,lenet,bn,false,4,{seed},done,{accuracy}\n", run.name());
        }
    }
    let header = "run,label,dataset,model,norm,double_forward,batch_size,seed,status,test_accuracy\n";
    fs::write(dir.path().join("summary.csv"), format!("{header}{rows}")).unwrap();
    let json = json(&[dir.path()], &[]);
    assert_eq!(labels(&json), ["tuned momentum=0.25", "tuned momentum=0.5"]);
    // The folders alone, and a sweep file instead of the summary.
    fs::remove_file(dir.path().join("summary.csv")).unwrap();
    let json = super::support::json(&[dir.path()], &[]);
    assert_eq!(labels(&json), ["bn momentum=0.25", "bn momentum=0.5"]);
}

#[test]
fn rows_alone_tell_runs_apart_by_the_rate_of_their_first_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let rows = |rate: &str, accuracy: f64| {
        let runs = (0..3).map(|seed| FakeRun::new("bn", 4, seed, accuracy).metrics());
        let text: String = runs.collect();
        let text = text.replace(&format!("{HEADER}\n"), "").replace("-s", &format!("-lr{rate}-s"));
        text.replace(",0.01,", &format!(",{rate},"))
    };
    let path = dir.path().join("all.csv");
    fs::write(&path, format!("{HEADER}\n{}{}", rows("0.02", 0.5), rows("0.08", 0.7))).unwrap();
    let json = json(&[&path], &[]);
    assert_eq!(labels(&json), ["bn lr(epoch 1)=0.02", "bn lr(epoch 1)=0.08"]);
    near(&cell(&json, "accuracy", 4, "bn lr(epoch 1)=0.08")["mean"], 0.7);
    let said = compare(&[&path], &[]);
    said.warns(&["rows do not record the setting `lr`, only the rate at the end of each epoch"]);
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
}

#[test]
fn what_is_averaged_on_request_is_said_as_it_is() {
    let rows = row(4, 4, 1, "0.1,0.9,true", 0.5) + &row(4, 4, 1, "0.4,0.9,true", 0.6);
    let (dir, _) = summary(&rows);
    let said = compare(&[dir.path()], &["--by", "norm"]);
    said.warns(&["runs with different settings are averaged: mbn at batch size 4 (lr 0.1, 0.4)"]);
    assert!(!said.err.contains("their rows do not say"), "the rows do say it: {}", said.err);
}

#[test]
fn runs_that_nothing_tells_apart_are_named() {
    let rows = row(4, 4, 1, "0.1,0.9,true", 0.5);
    let again = rows.replacen("4-4-1", "again", 1).replace("0.5,done", "0.6,done");
    let (dir, _) = summary(&(rows + &again));
    compare(&[dir.path()], &[])
        .warns(&["the same seed occurs in two runs, which may differ in a setting that their rows do not record"]);
}

#[test]
fn a_setting_named_like_a_normalizer_s_parameter_keeps_the_long_name() {
    let dir = tempfile::tempdir().unwrap();
    for settings in ["[bn]\nmomentum = 0.1", "[bn]\nmomentum = 0.25"] {
        FakeRun { settings, ..FakeRun::new("bn", 4, 0, 0.5) }.write(dir.path());
    }
    let json = json(&[dir.path() as &Path], &[]);
    assert_eq!(labels(&json), ["bn bn.momentum=0.1", "bn bn.momentum=0.25"]);
}

#[test]
fn only_settings_that_differ_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mbn = |settings, accuracy| FakeRun { settings, ..FakeRun::new("mbn", 4, 0, accuracy) };
    mbn("weight_decay = 0.0\n[mbn]\nsize = 8\ndecay = 0.9", 0.5).write(dir.path());
    mbn("weight_decay = 0.0\n[mbn]\nsize = 16\ndecay = 0.90", 0.6).write(dir.path());
    FakeRun { settings: "weight_decay = 0.0", ..FakeRun::new("bn", 4, 0, 0.7) }.write(dir.path());
    let json = json(&[dir.path()], &[]);
    let labels: Vec<_> = json["sections"][0]["groups"].as_array().unwrap().iter().map(|g| g["label"].clone()).collect();
    assert_eq!(labels, ["bn", "mbn size=8", "mbn size=16"]);
    assert_eq!(json["sections"][0]["baseline"], "bn");
    // Averaging over settings is reported, and so is an unknown key.
    let pooled = compare(&[dir.path()], &["--by", "norm"]);
    pooled.warns(&["different settings are averaged: mbn at batch size 4 (mbn.size 16, 8"]);
    assert_eq!(pooled.row("4", "mbn")[2], "55.00");
    let unknown = compare(&[dir.path()], &["--by", "mbn.sise"]);
    assert_eq!(unknown.code, Some(2));
    unknown.warns(&["mbn.sise", "did you mean `mbn.size`"]);
    let unknown = compare(&[dir.path()], &["--baseline", "mbn size=9"]);
    assert_eq!(unknown.code, Some(2));
    unknown.warns(&["did you mean `mbn size=8`"]);
    assert_eq!(compare(&[dir.path()], &["--metric", "acuracy"]).code, Some(2));
}
