//! Bitwise the same results for any number of threads.

use crate::support::{Function, list, random, value_and_gradients};
use candle_core::{DType, Tensor};
use mbn::model::Store;
use mbn::norm::{NormSpec, Pass, Site};
use mbn::ops;

/// Values and gradients in f32, where the order of a sum matters.
fn bits(threads: usize, f: Function, inputs: &[Tensor]) -> Vec<Vec<u64>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let inputs: Vec<Tensor> = inputs.iter().map(|t| t.to_dtype(DType::F32).unwrap()).collect();
    let run = || {
        let (y, gradients) = value_and_gradients(f, &inputs);
        std::iter::once(y).chain(gradients).map(|t| list(&t).iter().map(|v| v.to_bits()).collect()).collect()
    };
    pool.install(run)
}

fn assert_same_bits(what: &str, f: Function, inputs: &[Tensor]) {
    let one = bits(1, f, inputs);
    for threads in [2, 4] {
        assert!(one == bits(threads, f, inputs), "{what} on {threads} threads");
    }
}

#[test]
fn convolution_and_linear() {
    for (stride, kernel) in [(1, 3), (2, 3), (1, 1)] {
        let inputs = [random("x", &[21, 5, 33, 17]), random("weight", &[7, 5, kernel, kernel])];
        assert_same_bits("conv2d", &|t| ops::conv2d(&t[0], &t[1], stride, 1), &inputs);
        assert_same_bits("conv2d", &|t| ops::conv2d(&t[0], &t[1], stride, 0), &inputs);
    }
    let inputs = [random("x", &[21, 5, 33, 17]), random("kernel", &[5, 3, 3]), random("bias", &[5])];
    assert_same_bits("depthwise", &|t| ops::depthwise(&t[0], &t[1], &t[2]), &inputs);
    let inputs = [random("x", &[200, 90]), random("weight", &[150, 90]), random("bias", &[150])];
    assert_same_bits("linear", &|t| ops::linear(&t[0], &t[1], Some(&t[2])), &inputs);
}

#[test]
fn everything_else() {
    let x = [random("x", &[12, 3, 40, 30])];
    assert_same_bits("relu", &|t| ops::relu(&t[0]), &x);
    assert_same_bits("max_pool2d", &|t| ops::max_pool2d(&t[0], 2), &x);
    assert_same_bits("global_avg_pool", &|t| ops::global_avg_pool(&t[0]), &x);
    assert_same_bits("shortcut", &|t| ops::shortcut(&t[0], 2, 6), &x);
    let norm = NormSpec::new("mbn", &toml::Table::new()).unwrap();
    for shape in [vec![12, 3, 40, 30], vec![600, 70]] {
        let normalize = |t: &[Tensor]| {
            let store = Store::fresh(0);
            let vb = store.builder(t[0].dtype(), t[0].device());
            norm.build(Site::new(shape[1], vb))?.forward(&t[0], Pass::Train)
        };
        assert_same_bits("normalization", &normalize, &[random("x", &shape)]);
    }
    let targets = Tensor::from_iter((0..300u32).map(|i| i % 100), &candle_core::Device::Cpu).unwrap();
    assert_same_bits("cross_entropy", &|t| ops::cross_entropy(&t[0], &targets, 0.1), &[random("logits", &[300, 100])]);
}
