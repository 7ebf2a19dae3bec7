//! Settings of an evaluation affect its result, but not the run's own split.

use super::support::{ForeignCheckpoint, refused, report, run, tensors};

fn of_run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&[run().to_str().unwrap()], more].concat()
}

#[test]
fn the_split_of_a_run_is_not_drawn_anew() {
    report(&of_run(&["--split", "val"]));
    for setting in ["seed=1", "val_fraction=0.2", "train_limit=10"] {
        for split in ["val", "train", "test"] {
            refused(2, &of_run(&["--split", split, "--set", setting]), &["--set", setting, "change the split"]);
        }
    }
    refused(2, &of_run(&["--split", "val", "--dataset", "shapes"]), &["trained on digits", "shapes"]);
    refused(2, &of_run(&["--split", "train", "--set", "dataset=shapes"]), &["trained on digits", "--split test"]);
}

#[test]
fn a_checkpoint_made_elsewhere_has_no_validation_images() {
    let foreign = ForeignCheckpoint::new(&tensors(), &[]);
    foreign.refused(2, &["--split", "val"], &["made elsewhere", "held out of training"]);
    foreign.refused(2, &["--split", "val", "--set", "val_fraction=0.5"], &["made elsewhere"]);
    let (found, _) = foreign.report(&["--split", "train", "--set", "train_limit=30"]);
    assert_eq!(found["images"], 30);
}

#[test]
fn settings_without_effect_are_refused() {
    for (more, key) in [
        (&["--set", "bn.momentum=0.3"][..], "bn.momentum"),
        (&["--set", "mbn.size=4"], "the normalizer is bn"),
        (&["--set", "epochs=3"], "epochs"),
        (&["--set", "lr=1"], "lr"),
        (&["--split", "train", "--test-limit", "10"], "test_limit"),
        (&["--split", "val", "--set", "test_limit=10"], "test_limit"),
        (&["--set", "precise_examples=100"], "--stats precise"),
        (&["--set", "batch_size=4"], "--stats batch"),
        (&["--batch-size", "4"], "--stats batch"),
        (&["--stats", "precise", "--set", "precise_examples=1"], "precise_examples = 1"),
        (&["--set", "bn.eps=1", "--set", "bn.eps=2"], "given twice"),
        (&["--set", "shortcut=projection"], "residual blocks"),
    ] {
        refused(2, &of_run(more), &[key]);
    }
}

#[test]
fn settings_with_an_effect_are_taken() {
    let images = |more: &[&str]| report(&of_run(more)).0["images"].as_u64().unwrap();
    assert_eq!(images(&[]), 200);
    assert_eq!(images(&["--test-limit", "10"]), 10);
    let loss = |more: &[&str]| report(&of_run(more)).0["loss"].as_f64().unwrap();
    assert_ne!(loss(&["--set", "bn.eps=0.5"]), loss(&[]));
    let (_, messages) = report(&of_run(&["--set", "bn.eps=0.5"]));
    assert!(messages.contains("--set bn.eps=0.5: the checkpoint records bn.eps = "), "{messages}");
    assert!(report(&of_run(&["--norm", "bn"])).1.is_empty(), "what is recorded is no override");
    let (few, many) = (["--stats", "precise", "--set", "precise_examples=2"], ["--stats", "precise"]);
    assert_ne!(loss(&few), loss(&many));
    loss(&["--set", "kernels=plain", "--device", "cpu"]);
}
