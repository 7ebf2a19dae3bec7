//! Bitwise equal results: for any number of threads, and for Double-Forward's second pass alone or with the next step.

use candle_core::{DType, Device, Tensor};
use mbn::config::Layers;
use mbn::data::Batch;
use mbn::model::{Store, Task};
use mbn::train::Trainer;

use crate::chain::LabelledImages;
use crate::support::on_one_isa;

const TASK: Task = Task { shape: [1, 20, 16], classes: crate::chain::CLASSES };

/// Images large enough that a single one is shared by several threads, in pieces of unequal size.
const LARGE: Task = Task { shape: [1, 66, 71], ..TASK };

/// Large images again, in pieces of whole tiles of Winograd's algorithm.
const TILED: Task = Task { shape: [1, 64, 48], ..TASK };

fn trainer(task: Task, settings: &[&str]) -> Trainer {
    let base = ["lr=0.05", "lr_scaling=none"];
    let layers = base.iter().chain(settings).fold(Layers::new(), |layers, set| layers.set(set).unwrap());
    Trainer::new(&layers.resolve().unwrap(), task, Store::fresh(1), &Device::Cpu, 10).unwrap()
}

/// The bits of every parameter and statistic after steps on batches of those sizes.
fn trained(task: Task, settings: &[&str], sizes: &[usize]) -> Vec<(String, Vec<u32>)> {
    train(trainer(task, settings), task, sizes)
}

fn train(mut trainer: Trainer, task: Task, sizes: &[usize]) -> Vec<(String, Vec<u32>)> {
    for (step, &n) in sizes.iter().enumerate() {
        let LabelledImages { x, y } = LabelledImages::new::<f32>(&format!("step {step}"), n, task.shape);
        trainer.step(&Batch { x, y }, &mut |_| {}).unwrap();
    }
    let bits = |tensor: &Tensor| {
        assert_eq!(tensor.dtype(), DType::F32);
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    trainer.network().unwrap().store().vars().into_iter().map(|(name, var)| (name, bits(&var))).collect()
}

fn assert_same(what: &str, got: &[(String, Vec<u32>)], want: &[(String, Vec<u32>)]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        assert!(got == want, "{what}: {} differs", want.0);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_training() {
    let _isa = on_one_isa();
    let sizes = [(TASK, 1), (TASK, 2), (TASK, 5), (TASK, 32), (LARGE, 1), (LARGE, 2), (TILED, 1), (TILED, 2)];
    for (model, (task, n)) in ["lenet", "resnet8"].into_iter().flat_map(|model| sizes.map(|size| (model, size))) {
        let (model, size) = (format!("model={model}"), format!("batch_size={n}"));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let settings = [&model[..], &size, "norm=mbn", "double_forward=true"];
            pool.install(|| trained(task, &settings, &[n; 3]))
        };
        let one = on(1);
        [2, 3]
            .into_iter()
            .for_each(|threads| assert_same(&format!("{model}, {size}, {threads} threads"), &on(threads), &one));
    }
}

#[test]
fn double_forward_beside_the_next_step_is_double_forward_at_once() {
    let _isa = on_one_isa();
    for (model, norm) in ["lenet", "resnet8"].into_iter().flat_map(|model| ["bn", "mbn"].map(|norm| (model, norm))) {
        for (kernels, micro) in [("fused", 8), ("fused", 4), ("direct", 2), ("plain", 4)] {
            let settings = [
                &format!("model={model}"),
                &format!("norm={norm}"),
                &format!("kernels={kernels}"),
                &format!("norm_batch_size={micro}"),
                "batch_size=8",
                "double_forward=true",
            ];
            let settings = settings.map(|setting: &str| setting);
            let mut at_once = trainer(TASK, &settings);
            at_once.separate_refresh = true;
            // The last batch of an epoch may be smaller.
            let sizes = [8, 8, 6, 8];
            let what = settings.join(" ");
            assert_same(&what, &trained(TASK, &settings, &sizes), &train(at_once, TASK, &sizes));
        }
    }
}

#[test]
fn without_the_second_passes_something_else_is_remembered() {
    let _isa = on_one_isa();
    let settings = ["model=lenet", "norm=mbn", "batch_size=6", "double_forward=true"];
    let with = trained(TASK, &settings, &[6; 2]);
    let without = trained(TASK, &settings[..3], &[6; 2]);
    assert!(with.iter().zip(&without).any(|(with, without)| with != without));
}
