//! `--stats weighing`: the weight and where it comes from.

use super::support::{ForeignCheckpoint, refused, report, run, tensors};

fn of_run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&[run().to_str().unwrap(), "--stats", "weighing"], more].concat()
}

#[test]
fn weight_0_scores_as_the_method_itself() {
    let (own, _) = report(&[run().to_str().unwrap()]);
    let (weighed, _) = report(&of_run(&["--weight", "0"]));
    assert_eq!((&weighed["loss"], &weighed["accuracy"]), (&own["loss"], &own["accuracy"]));
    assert_eq!((weighed["stats"].as_str(), weighed["weight"].as_f64()), (Some("weighing"), Some(0.0)));
    assert!(weighed.get("weights").is_none() && own.get("weight").is_none());
    assert_ne!(report(&of_run(&["--weight", "0.25"])).0["loss"], own["loss"]);
}

#[test]
fn the_weight_is_the_best_on_validation_images() {
    let (found, messages) = report(&of_run(&[]));
    assert!(messages.is_empty(), "{messages}");
    let tried = found["weights"].as_array().unwrap();
    let loss = |tried: &serde_json::Value| tried["loss"].as_f64().unwrap();
    let best = tried.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    assert_eq!(found["weight"], best["weight"]);
    let weight = best["weight"].to_string();
    assert_eq!(report(&of_run(&["--weight", &weight])).0["loss"], found["loss"]);
    let (on_val, messages) = report(&of_run(&["--split", "val"]));
    assert_eq!((&on_val["weight"], &on_val["loss"]), (&best["weight"], &best["loss"]));
    assert!(messages.contains("chosen on the same validation images"), "{messages}");
}

#[test]
fn without_validation_images_the_weight_has_to_be_given() {
    let foreign = ForeignCheckpoint::new(&tensors(), &[]);
    foreign.refused(2, &["--stats", "weighing"], &["validation images", "made elsewhere", "--weight W"]);
    foreign.report(&["--stats", "weighing", "--weight", "0.5"]);
    refused(2, &of_run(&["--dataset", "shapes"]), &["validation images", "of this data set", "--weight W"]);
}

#[test]
fn a_weight_is_a_share_and_belongs_to_weighing() {
    for weight in ["-0.1", "1.5", "nan", "inf"] {
        refused(2, &of_run(&["--weight", weight]), &["--weight", "a number from 0 to 1"]);
    }
    refused(2, &[run().to_str().unwrap(), "--weight", "0.5"], &["only with --stats weighing"]);
    refused(2, &[run().to_str().unwrap(), "--stats", "precise", "--weight", "0.5"], &["only with --stats weighing"]);
}
