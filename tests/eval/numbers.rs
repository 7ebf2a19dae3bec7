//! Non-finite values have no score.

use candle_core::Tensor;

use super::support::{ForeignCheckpoint, Tensors, tensors};

/// The checkpoint with one tensor changed.
fn with(name: &str, change: impl Fn(&Tensor) -> Tensor) -> Tensors {
    let mut all = tensors();
    let changed = change(&all[name]);
    all.insert(name.into(), changed);
    all
}

fn filled(value: f64) -> impl Fn(&Tensor) -> Tensor {
    move |tensor| tensor.zeros_like().unwrap().affine(1.0, value).unwrap()
}

/// The first value replaced.
fn spoiled(value: f32) -> impl Fn(&Tensor) -> Tensor {
    move |tensor| {
        let mut values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        values[0] = value;
        Tensor::from_vec(values, tensor.shape(), tensor.device()).unwrap()
    }
}

#[test]
fn parameters_and_statistics_that_are_not_finite_are_named() {
    for (name, value) in [("bn1.running_var", f32::NAN), ("bn1.running_mean", f32::INFINITY)] {
        let foreign = ForeignCheckpoint::new(&with(name, spoiled(value)), &[]);
        foreign.refused(1, &[], &[name, "not finite", "--stats precise"]);
        foreign.refused(1, &["--json"], &[name]);
        // The statistics at fault are not used.
        foreign.report(&["--stats", "precise"]);
        foreign.report(&["--stats", "batch"]);
    }
    for (name, value) in [("fc3.weight", f32::NEG_INFINITY), ("bn2.weight", f32::NAN)] {
        let foreign = ForeignCheckpoint::new(&with(name, spoiled(value)), &[]);
        for more in [&[][..], &["--stats", "batch"], &["--stats", "precise"]] {
            foreign.refused(1, more, &[name, "not finite"]);
        }
    }
}

#[test]
fn a_negative_variance_is_named() {
    ForeignCheckpoint::new(&with("bn2.running_var", spoiled(-0.5)), &[]).refused(
        1,
        &[],
        &["bn2.running_var", "negative variance"],
    );
}

#[test]
fn a_loss_or_statistics_that_overflow_are_no_result() {
    let huge = ForeignCheckpoint::new(&with("fc3.weight", filled(3e38)), &[]);
    huge.refused(1, &[], &["the loss under ema statistics is not finite"]);
    let wide = ForeignCheckpoint::new(&with("fc1.weight", filled(1e38)), &[]);
    for stats in ["batch", "precise"] {
        wide.refused(1, &["--stats", stats], &["bn1", stats, "not finite"]);
    }
}

#[test]
fn statistics_of_single_images_that_overflow_are_no_result() {
    let wide = ForeignCheckpoint::new(&with("fc2.weight", filled(1e25)), &[]);
    wide.refused(1, &["--stats", "evalnorm", "--batch-size", "2"], &["bn2", "evalnorm", "not finite"]);
    wide.refused(1, &["--stats", "weighing", "--weight", "0.1"], &["weighing", "not finite"]);
}

#[test]
fn large_statistics_are_statistics() {
    let (found, _) = ForeignCheckpoint::new(&with("bn1.running_var", filled(1e30)), &[]).report(&[]);
    assert!(found["loss"].as_f64().unwrap() > 0.0);
}
