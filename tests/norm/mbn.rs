//! MBN over many steps against its definition, and identities.

use candle_core::{DType, Device, Tensor};
use mbn::model::Store;
use mbn::norm::{Call, Norm, NormSpec, Pass, Progress, Site};
use toml::Table;

use crate::reference::Reference;
use crate::support::{assert_close, data, host, layer, train};

#[test]
fn mbn_matches_the_reference_over_many_steps_memory_filling_included() {
    let shapes: [&[usize]; 2] = [&[2, 3, 3, 5], &[4, 3]];
    let kinds = ["memorized", "weighted", "full", "none"];
    for (pool, stat_grad) in ["total", "mean"].iter().flat_map(|p| kinds.map(|g| (*p, g))) {
        for (shape, decay) in shapes.iter().flat_map(|s| [(s, 1.0), (s, 0.8)]) {
            let params = format!("size = 4\ndecay = {decay:?}\npool = \"{pool}\"\nstat_grad = \"{stat_grad}\"");
            let norm = layer("mbn", &format!("{params}\ngrad_size = 3\ngrad_decay = 0.7\ninference = \"memory\""), 3);
            let (total, gradient_length) = (pool == "total", (3, 0.7));
            let mut reference = Reference { total, stat_grad, gradient_length, ..Reference::new(4, decay) };
            for step in 0..7 {
                let (x, g) = (data(shape, step), data(shape, 100 + step));
                let (y, dx) = train(norm.as_ref(), &x, &g);
                reference.push(&x);
                let (want_y, want_dx) = reference.pass(&x, &g, 0);
                assert_close(&host(&y), &want_y, 1e-12);
                assert_close(&host(&dx), &want_dx, 1e-11);
            }
            // Inference: the memory alone.
            let x = data(shape, 50);
            let y = norm.forward(&x, Pass::Eval).unwrap();
            assert_close(&host(&y), &reference.pass(&x, &x, 0).0, 1e-12);
        }
    }
}

#[test]
fn refreshing_micro_batches_replaces_their_slots_from_the_oldest_on() {
    let norm = layer("mbn", "size = 4\ndecay = 0.9\ninference = \"memory\"", 3);
    let mut reference = Reference::new(4, 0.9);
    for step in 0..6 {
        let x = data(&[2, 3, 2, 2], step);
        norm.forward(&x, Pass::Train).unwrap();
        reference.push(&x);
    }
    for age in [2, 1, 0] {
        let fresh = data(&[2, 3, 2, 2], 60 + age as u64);
        let y = norm.forward(&fresh, Pass::Refresh { age }).unwrap();
        let mut one = Reference::new(1, 1.0);
        one.push(&fresh);
        reference.memory[age] = one.memory[0].clone();
        assert_close(&host(&y), &reference.pass(&fresh, &fresh, age).0, 1e-12);
    }
    let x = data(&[2, 3, 2, 2], 70);
    assert_close(&host(&norm.forward(&x, Pass::Eval).unwrap()), &reference.pass(&x, &x, 0).0, 1e-12);
}

/// A refresh pools what the training pass of its batch pooled, although newer batches have pushed some of that out.
#[test]
fn refreshing_all_micro_batches_of_an_update_with_the_same_data_changes_nothing() {
    for parts in 1..=6 {
        let norm = layer("mbn", "size = 3\ndecay = 0.8", 3);
        let call = |pass| Call { pass, progress: Progress { parts, ..Progress::default() } };
        for step in 0..3 {
            let batches: Vec<Tensor> = (0..parts as u64).map(|i| data(&[2, 3, 2, 2], 10 * step + i)).collect();
            let trained: Vec<Tensor> =
                batches.iter().map(|x| norm.forward_at(x, call(Pass::Train), None).unwrap()).collect();
            let before = norm.inference().unwrap().copy().unwrap();
            for age in (0..parts).rev() {
                let i = parts - 1 - age;
                let again = norm.forward_at(&batches[i], call(Pass::Refresh { age }), None).unwrap();
                assert_close(&host(&again), &host(&trained[i]), 1e-13);
            }
            let after = norm.inference().unwrap();
            assert_close(&host(&after.mean), &host(&before.mean), 1e-13);
            assert_close(&host(&after.var), &host(&before.var), 1e-13);
        }
    }
}

#[test]
fn a_length_in_images_is_that_many_images_worth_of_batches() {
    for (images, batches) in [(1, 12), (2, 6), (3, 4), (5, 2), (12, 1), (40, 1)] {
        let per_batch = 0.9f64.powi(images as i32);
        let by_images = layer("mbn", "samples = 12\ndecay = 0.9\ngrad_samples = 6\ngrad_decay = 0.8", 3);
        let grad = (0.8f64.powi(images as i32), (6.0 / images as f64).round().max(1.0));
        let params = format!("size = {batches}\ndecay = {per_batch:?}");
        let by_batches = layer("mbn", &format!("{params}\ngrad_size = {}\ngrad_decay = {:?}", grad.1, grad.0), 3);
        for step in 0..14 {
            let (x, g) = (data(&[images, 3, 2, 2], step), data(&[images, 3, 2, 2], 100 + step));
            let (own, other) = (train(by_images.as_ref(), &x, &g), train(by_batches.as_ref(), &x, &g));
            assert_close(&host(&own.0), &host(&other.0), 1e-12);
            assert_close(&host(&own.1), &host(&other.1), 1e-12);
        }
    }
    // From that batch size on, it is BN.
    let (mbn, bn) = (layer("mbn", "samples = 12\ngrad_samples = 12", 3), layer("bn", "", 3));
    for step in 0..3 {
        let (x, g) = (data(&[12, 3, 2, 2], step), data(&[12, 3, 2, 2], 100 + step));
        let (own, other) = (train(mbn.as_ref(), &x, &g), train(bn.as_ref(), &x, &g));
        assert_close(&host(&own.0), &host(&other.0), 1e-13);
        assert_close(&host(&own.1), &host(&other.1), 1e-12);
    }
}

/// Over a stream that always holds the same eight images, in batches of two, a uniform memory of four batches in both
/// passes gives each image the gradient that BN gives it in the batch of eight.
#[test]
fn a_memory_of_a_stationary_stream_has_the_gradient_of_the_full_batch() {
    let (x, g) = (data(&[8, 3, 2, 2], 1), data(&[8, 3, 2, 2], 2));
    let (_, full) = train(layer("bn", "", 3).as_ref(), &x, &g);
    let part = |t: &Tensor, i: usize| t.narrow(0, 2 * (i % 4), 2).unwrap().contiguous().unwrap();
    let norm = layer("mbn", "size = 4\ndecay = 1.0\nstat_grad = \"memorized\"", 3);
    for i in 0..12 {
        let (_, dx) = train(norm.as_ref(), &part(&x, i), &part(&g, i));
        // The first four gradients were taken before the memory of statistics was full.
        if i >= 8 {
            assert_close(&host(&dx), &host(&part(&full, i)), 1e-11);
        }
    }
}

#[test]
fn the_refresh_pass_can_normalize_with_the_fresh_batch_alone() {
    let norm = layer("mbn", "size = 4\nrefresh = \"batch\"", 3);
    let bn = layer("bn", "", 3);
    for step in 0..3 {
        norm.forward(&data(&[4, 3], step), Pass::Train).unwrap();
    }
    let fresh = data(&[4, 3], 9);
    let got = norm.forward(&fresh, Pass::REFRESH).unwrap();
    assert_close(&host(&got), &host(&bn.forward(&fresh, Pass::Batch).unwrap()), 1e-12);
}

#[test]
fn mbn_of_size_one_is_bn() {
    for pool in ["total", "mean"] {
        let (mbn, bn) = (layer("mbn", &format!("size = 1\npool = \"{pool}\""), 3), layer("bn", "", 3));
        for step in 0..3 {
            let (x, g) = (data(&[3, 3, 2, 3], step), data(&[3, 3, 2, 3], 30 + step));
            let ((y, dx), (want_y, want_dx)) = (train(mbn.as_ref(), &x, &g), train(bn.as_ref(), &x, &g));
            assert_close(&host(&y), &host(&want_y), 1e-13);
            assert_close(&host(&dx), &host(&want_dx), 1e-12);
        }
    }
}

#[test]
fn uniform_memory_over_disjoint_batches_is_the_statistics_of_their_union() {
    // As in the memory, and as in the first running average.
    for inference in ["memory", "average"] {
        let params = format!("size = 4\ndecay = 1.0\ninference = \"{inference}\"");
        let (norm, whole) = (layer("mbn", &params, 3), layer("bn", "", 3));
        let x = data(&[8, 3, 2, 2], 3);
        for part in 0..4 {
            norm.forward(&x.narrow(0, 2 * part, 2).unwrap().contiguous().unwrap(), Pass::Train).unwrap();
        }
        let (pooled, union) = (norm.inference().unwrap(), {
            whole.forward(&x, Pass::Batch).unwrap();
            whole.observed().unwrap().batch
        });
        assert_close(&host(&pooled.mean), &host(&union.mean), 1e-13);
        assert_close(&host(&pooled.var), &host(&union.var), 1e-13);
    }
}

#[test]
fn memory_survives_its_checkpoint() {
    let spec = NormSpec::new("mbn", &"size = 5".parse::<Table>().unwrap()).unwrap();
    let store = Store::fresh(0);
    let norm = spec.build(Site::new(3, store.builder(DType::F64, &Device::Cpu))).unwrap();
    for step in 0..3 {
        norm.forward(&data(&[4, 3], step), Pass::Train).unwrap();
    }
    let copies = store.vars().into_iter().map(|(name, var)| (name, var.as_tensor().copy().unwrap())).collect();
    let restored = spec.build(Site::new(3, Store::from_tensors(copies).builder(DType::F64, &Device::Cpu))).unwrap();
    for step in 3..9 {
        let x = data(&[4, 3], step);
        let pass = |norm: &dyn Norm| host(&norm.forward(&x, Pass::Train).unwrap());
        assert_eq!(pass(norm.as_ref()), pass(restored.as_ref()), "step {step}");
    }
}
