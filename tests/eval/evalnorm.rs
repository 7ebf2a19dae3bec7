//! `--stats evalnorm`: its requirements, and its result at a weight of 1.

use super::support::{ForeignCheckpoint, refused, report, run, tensors};

fn of_run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&[run().to_str().unwrap(), "--stats", "evalnorm"], more].concat()
}

#[test]
fn the_weight_is_one_image_s_share_of_training_s_normalization_batch() {
    let (found, _) = report(&of_run(&[]));
    assert_eq!((found["stats"].as_str(), found["weight"].as_f64()), (Some("evalnorm"), Some(1.0 / 32.0)));
    let (other, _) = report(&of_run(&["--batch-size", "4"]));
    assert_eq!(other["weight"].as_f64(), Some(0.25));
    assert_ne!(found["loss"], other["loss"]);
    // In a batch of one, there are no other images: the estimate does not matter.
    let alone = |images: &'static str| report(&of_run(&["--batch-size", "1", "--set", images])).0["loss"].clone();
    let [few, many] = ["precise_examples=50", "precise_examples=300"].map(|n| alone(n).as_f64().unwrap());
    assert!((few - many).abs() < 1e-5, "{few} {many}");
    let two = |images: &'static str| report(&of_run(&["--batch-size", "2", "--set", images])).0["loss"].clone();
    assert_ne!(two("precise_examples=50"), two("precise_examples=300"));
}

#[test]
fn a_checkpoint_made_elsewhere_does_not_know_its_batch() {
    let foreign = ForeignCheckpoint::new(&tensors(), &[]);
    foreign.refused(2, &["--stats", "evalnorm"], &["made elsewhere", "--batch-size N"]);
    foreign.report(&["--stats", "evalnorm", "--batch-size", "32"]);
    refused(2, &of_run(&["--set", "precise_examples=1"]), &["precise_examples = 1"]);
    refused(2, &of_run(&["--weight", "0.5"]), &["only with --stats weighing"]);
}
