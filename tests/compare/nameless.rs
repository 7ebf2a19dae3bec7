//! Rows without a column `run`: what differs in a setting is another run, and nothing is dropped unless it is there twice.

use super::support::{FakeRun, HEADER, cell, compare, json, near, written};

const ROWS: [(&str, f64); 4] = [("1,0.1", 0.8), ("2,0.1", 0.9), ("1,0.4", 0.3), ("2,0.4", 0.5)];

#[test]
fn rows_of_a_summary_are_told_apart_by_their_settings() {
    let rows: String = ROWS.iter().map(|(varied, score)| format!("digits,mlp,gn,16,{varied},2,{score}\n")).collect();
    for column in ["lr", "weight_decay"] {
        let header = format!("dataset,model,norm,batch_size,seed,{column},epochs,test_accuracy\n");
        let (_dir, path) = written(&format!("{header}{rows}"));
        let json = json(&[&path], &[]);
        for (value, mean) in [("0.1", 0.85), ("0.4", 0.4)] {
            let gn = cell(&json, "accuracy", 16, &format!("gn {column}={value}"));
            near(&gn["mean"], mean);
            assert_eq!(gn["n"], 2);
        }
        assert!(!compare(&[&path], &[]).err.contains("twice"), "no row is there twice");
    }
}

#[test]
fn equal_rows_count_once_and_others_are_kept_and_named() {
    let rows = "digits,mlp,gn,16,1,x,0.8\ndigits,mlp,gn,16,1,x,0.8\ndigits,mlp,gn,16,1,y,0.6\n";
    let (_dir, path) = written(&format!("dataset,model,norm,batch_size,seed,remark,test_accuracy\n{rows}"));
    let said = compare(&[&path], &[]);
    said.warns(&[
        "all.csv: 1 row is there twice (the first in line 3); each counts once",
        "the same seed occurs in two runs that differ only in a column that is no setting, or empty in one of them: gn at batch size 16 (seed 1, column `remark`)",
    ]);
    assert_eq!((said.row("16", "gn")[2].as_str(), said.row("16", "gn")[5].as_str()), ("70.00", "2"));
    // So is a setting that one of the rows leaves empty.
    let rows = "a,digits,mlp,gn,16,1,0.1,0.8\nb,digits,mlp,gn,16,1,,0.6\n";
    let (_dir, path) = written(&format!("run,dataset,model,norm,batch_size,seed,lr,test_accuracy\n{rows}"));
    compare(&[&path], &[]).warns(&["(seed 1, column `lr`)"]);
}

#[test]
fn two_rows_of_one_name_that_contradict_each_other_are_named() {
    let header = "run,dataset,model,norm,batch_size,seed,lr,test_accuracy\n";
    let (_dir, path) = written(&format!("{header}a,digits,mlp,gn,16,1,0.1,0.8\na,digits,mlp,gn,16,1,0.1,0.6\n"));
    compare(&[&path], &[]).warns(&["a is there with other final scores, too"]);
    let (_dir, path) = written(&format!("{header}a,digits,mlp,gn,16,1,0.1,0.8\na,digits,mlp,gn,16,1,0.2,0.6\n"));
    let said = compare(&[&path], &[]);
    assert_eq!((said.row("16", "gn lr=0.1")[2].as_str(), said.row("16", "gn lr=0.2")[2].as_str()), ("80.00", "60.00"));
}

/// The rows of a run without its name, at that rate in every epoch, with a column `momentum`.
fn rows(seed: u64, accuracy: f64, rate: &str, momentum: &str) -> Vec<String> {
    let text = FakeRun::new("bn", 4, seed, accuracy).metrics().replace(",0.01,", &format!(",{rate},"));
    let line = |line: &str| format!("{},{momentum}\n", line.split_once(',').unwrap().1);
    text.lines().skip(1).map(line).collect()
}

#[test]
fn rows_of_epochs_are_told_apart_by_settings_and_by_the_rate_of_an_epoch() {
    let header = format!("{},momentum\n", HEADER.split_once(',').unwrap().1);
    for (others, names) in [
        (("0.02", "0.5"), ["bn lr(epoch 1)=0.01", "bn lr(epoch 1)=0.02"]),
        (("0.01", "0.9"), ["bn momentum=0.5", "bn momentum=0.9"]),
    ] {
        let first = (0..2).flat_map(|seed| rows(seed, 0.5, "0.01", "0.5"));
        let second = (0..2).flat_map(|seed| rows(seed, 0.7, others.0, others.1));
        let one_after_another: Vec<String> = first.clone().chain(second.clone()).collect();
        let in_turn: Vec<String> = first.zip(second).flat_map(|(a, b)| [a, b]).collect();
        for rows in [one_after_another, in_turn] {
            let (_dir, path) = written(&format!("{header}{}", rows.concat()));
            let json = json(&[&path], &[]);
            for (name, mean) in names.into_iter().zip([0.5, 0.7]) {
                near(&cell(&json, "accuracy", 4, name)["mean"], mean);
                assert_eq!(cell(&json, "accuracy", 4, name)["n"], 2);
            }
            assert!(!compare(&[&path], &[]).err.contains("other scores"));
        }
    }
    // Nothing tells these apart, which is said.
    let (_dir, path) =
        written(&format!("{header}{}{}", rows(0, 0.5, "0.01", "").concat(), rows(0, 0.7, "0.01", "").concat()));
    compare(&[&path], &[])
        .warns(&["no column `run`, and no setting or rate tells the rows apart: epoch 1 of digits-lenet-bn-b4-s0"]);
}
