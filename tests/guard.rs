//! Divergence means non-finite values, and nothing else.

use candle_core::{DType, Device, Tensor};
use mbn::Error;
use mbn::config::Layers;
use mbn::data::Batch;
use mbn::model::{Store, Task};
use mbn::train::{Trainer, is_finite};

#[test]
fn large_numbers_are_finite_and_those_that_are_none_are_not() {
    let finite = |values: &[f32]| is_finite(&Tensor::new(values, &Device::Cpu).unwrap()).unwrap();
    assert!(finite(&[3e38, -3e38, 0.0, 1e-45]));
    assert!(finite(&[2e19; 100]), "their squares are not f32");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(!finite(&[0.0, bad, 1.0]));
    }
}

/// One step of `mlp` with `bn` on images of that size.
fn step(size: f64) -> Result<(), Error> {
    let config = Layers::new().set("model=mlp")?.set("norm=bn")?.set("batch_size=4")?.resolve()?;
    let task = Task { shape: [1, 4, 4], classes: 3 };
    let mut trainer = Trainer::new(&config, task, Store::fresh(1), &Device::Cpu, 10)?;
    let x = Tensor::arange(0f32, 64.0, &Device::Cpu)?.affine(0.7, 0.0)?.sin()?.affine(size, 0.0)?;
    let batch =
        Batch { x: x.reshape((4, 1, 4, 4))?.to_dtype(DType::F32)?, y: Tensor::new(&[0u32, 1, 2, 0], &Device::Cpu)? };
    trainer.step(&batch, &mut |_| {}).map(drop)
}

#[test]
fn a_step_with_large_statistics_is_no_divergence_and_one_with_overflow_is() {
    step(1.0).unwrap();
    // Variances of about 1e26, whose squares overflow f32.
    step(1e13).unwrap();
    assert!(matches!(step(1e30), Err(Error::Diverged { .. })));
}
