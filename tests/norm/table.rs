//! What holds for every normalizer of the table.

use candle_core::{DType, Device, Tensor, Var};
use mbn::model::Store;
use mbn::norm::{Norm, Pass, is_statistic};
use mbn::ops;

use crate::support::{
    alone, assert_close, data, exact, host, layer, moved, numeric, refreshed, refuses, short, stored, train,
};

#[test]
fn a_refresh_with_the_same_data_changes_nothing() {
    for kind in refreshed() {
        let [plain, doubled] = [0, 1].map(|_| layer(kind.name, short(kind.name), 3));
        for step in 0..4 {
            let x = data(&[3, 3, 2, 2], step);
            plain.forward(&x, Pass::Train).unwrap();
            let first = doubled.forward(&x, Pass::Train).unwrap();
            let second = doubled.forward(&x, Pass::REFRESH).unwrap();
            assert_close(&host(&second), &host(&first), 1e-13);
        }
        let x = data(&[3, 3, 2, 2], 9);
        let eval = |norm: &dyn Norm| host(&norm.forward(&x, Pass::Eval).unwrap());
        assert_close(&eval(doubled.as_ref()), &eval(plain.as_ref()), 1e-13);
    }
}

#[test]
fn every_normalizer_has_the_gradient_of_its_own_forward_pass() {
    for (kind, params) in alone().filter_map(|kind| Some((kind, exact(kind.name)?))) {
        for shape in [&[2usize, 4, 3, 2][..], &[5, 4]].into_iter().filter(|shape| !refuses(kind.name, shape)) {
            let make = || {
                // Four batches of history for those that remember.
                let norm = layer(kind.name, params, 4);
                for step in 0..4 {
                    norm.forward(&data(shape, step), Pass::Train).unwrap();
                }
                norm
            };
            let (x, g) = (data(shape, 7), data(shape, 8));
            let (_, dx) = train(make().as_ref(), &x, &g);
            assert_close(&host(&dx), &numeric(&make, &x, &g), 1e-7);
        }
    }
}

#[test]
fn so_do_its_parameters_wherever_they_are() {
    for (kind, params) in alone().filter_map(|kind| Some((kind, exact(kind.name)?))) {
        for shape in [&[2usize, 4, 3, 2][..], &[5, 4]].into_iter().filter(|shape| !refuses(kind.name, shape)) {
            let make = |by: (&str, usize, f64)| {
                let (norm, store) = moved(kind.name, params, 4, by);
                (0..2).for_each(|step| drop(norm.forward(&data(shape, step), Pass::Train).unwrap()));
                (norm, store)
            };
            let (x, g) = (data(shape, 7), data(shape, 8));
            let loss =
                |norm: &dyn Norm, x: &Tensor| (norm.forward(x, Pass::Train).unwrap() * &g).unwrap().sum_all().unwrap();
            let (norm, store) = make(("", 0, 0.0));
            let leaf = Var::from_tensor(&x).unwrap();
            let gradients = loss(norm.as_ref(), &leaf).backward().unwrap();
            assert_close(&host(gradients.get(&leaf).unwrap()), &numeric(&|| make(("", 0, 0.0)).0, &x, &g), 1e-7);
            for (name, var) in store.vars().into_iter().filter(|(name, _)| !is_statistic(name)) {
                let at = |i, by| loss(make((&name, i, by)).0.as_ref(), &x).to_scalar::<f64>().unwrap();
                let h = 1e-5;
                let want: Vec<f64> = (0..var.elem_count()).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect();
                // A threshold belongs to the ReLU, not to the layer.
                let got = gradients.get(&var).map_or_else(|| vec![0.0; want.len()], host);
                assert_close(&got, &want, 1e-7);
            }
        }
    }
}

#[test]
fn passes_that_remember_nothing_leave_no_trace() {
    for kind in alone() {
        let norm = layer(kind.name, "", 4);
        for step in 0..3 {
            norm.forward(&data(&[3, 4, 2, 2], step), Pass::Train).unwrap();
        }
        let x = data(&[3, 4, 2, 2], 5);
        let before = host(&norm.forward(&x, Pass::Eval).unwrap());
        for pass in [Pass::Batch, Pass::Probe, Pass::Eval] {
            norm.forward(&data(&[3, 4, 2, 2], 6), pass).unwrap();
        }
        assert_eq!(before, host(&norm.forward(&x, Pass::Eval).unwrap()), "{}", kind.name);
    }
}

#[test]
fn a_probe_is_a_refresh_that_forgets() {
    for kind in refreshed() {
        let norm = layer(kind.name, "", 4);
        for step in 0..3 {
            norm.forward(&data(&[3, 4], step), Pass::Train).unwrap();
        }
        let x = data(&[3, 4], 5);
        let probe = host(&norm.forward(&x, Pass::Probe).unwrap());
        assert_close(&probe, &host(&norm.forward(&x, Pass::REFRESH).unwrap()), 1e-13);
    }
}

#[test]
fn a_resumed_layer_goes_on_to_the_bit() {
    for kind in alone() {
        let store = Store::fresh(0);
        let norm = stored(&store, kind.name, short(kind.name), 4);
        let step = |norm: &dyn Norm, step| {
            let (y, dx) = train(norm, &data(&[3, 4, 2, 2], step), &data(&[3, 4, 2, 2], 10 + step));
            (host(&y), host(&dx))
        };
        (0..3).for_each(|i| drop(step(norm.as_ref(), i)));
        let copies = store.vars().into_iter().map(|(name, var)| (name, var.as_tensor().copy().unwrap())).collect();
        let resumed = stored(&Store::from_tensors(copies), kind.name, short(kind.name), 4);
        for i in 3..8 {
            assert_eq!(step(norm.as_ref(), i), step(resumed.as_ref(), i), "{}, step {i}", kind.name);
        }
        let x = data(&[3, 4, 2, 2], 9);
        let eval = |norm: &dyn Norm| host(&norm.forward(&x, Pass::Eval).unwrap());
        assert_eq!(eval(norm.as_ref()), eval(resumed.as_ref()), "{}", kind.name);
    }
}

#[test]
fn constant_channels_stay_finite() {
    for kind in alone() {
        let norm = layer(kind.name, "", 4);
        let x = Tensor::ones((3, 4, 2, 2), DType::F64, &Device::Cpu).unwrap();
        let (y, dx) = train(norm.as_ref(), &x, &data(&[3, 4, 2, 2], 1));
        assert!(host(&y).iter().chain(&host(&dx)).all(|v| v.is_finite()), "{}", kind.name);
    }
}

/// Micro-batch by micro-batch, also where newer ones have replaced older ones in the memory.
#[test]
fn refreshes_do_what_training_on_the_fresh_batches_would_have_done() {
    let shape = [2, 3, 2, 2];
    for kind in refreshed() {
        let [refreshed, direct] = [0, 1].map(|_| layer(kind.name, short(kind.name), 3));
        let pass = |norm: &dyn Norm, tag, pass| host(&norm.forward(&data(&shape, tag), pass).unwrap());
        for norm in [&refreshed, &direct] {
            (0..2).for_each(|tag| drop(pass(norm.as_ref(), tag, Pass::Train)));
        }
        (2..5).for_each(|tag| drop(pass(refreshed.as_ref(), tag, Pass::Train)));
        for (age, tag) in [(2, 12), (1, 13), (0, 14)] {
            let again = pass(refreshed.as_ref(), tag, Pass::Refresh { age });
            assert_close(&again, &pass(direct.as_ref(), tag, Pass::Train), 1e-13);
        }
        for then in [Pass::Eval, Pass::Train] {
            assert_close(&pass(refreshed.as_ref(), 20, then), &pass(direct.as_ref(), 20, then), 1e-13);
        }
    }
}

/// Where the batch is mapped channel by channel, the statistics that a layer says it used are those of that map.
#[test]
fn a_layer_observes_the_statistics_it_normalized_with() {
    for (name, params) in [("bn", ""), ("mbn", "size = 4"), ("mabn", ""), ("brn", "r_max = 1e9\nd_max = 1e9")] {
        let norm = layer(name, params, 3);
        for step in 0..5 {
            let x = data(&[4, 3, 2, 2], step);
            let y = norm.forward(&x, Pass::Train).unwrap();
            let map = norm.affine().constant(&norm.observed().unwrap().used).unwrap().map;
            assert_close(&host(&ops::channel_map(&x, &map).unwrap()), &host(&y), 1e-12);
        }
    }
    // Each image has statistics of its own; the batch is told the averages it began with.
    let norm = layer("online", "", 3);
    for step in 0..3 {
        let before = host(&norm.inference().unwrap().mean);
        norm.forward(&data(&[4, 3, 2, 2], step), Pass::Train).unwrap();
        assert_close(&host(&norm.observed().unwrap().used.mean), &before, 1e-12);
    }
}
