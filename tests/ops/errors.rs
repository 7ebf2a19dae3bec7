//! Whatever the shapes, an operation gives a result or an error, and both forms agree on which.

use candle_core::{DType, Device, Result, Tensor};
use mbn::ops::{self, plain, Statistics};
use proptest::prelude::*;

fn ones(shape: &[usize], dtype: DType) -> Tensor {
    // A variable, so that an accepted operation is differentiated too.
    candle_core::Var::ones(shape, dtype, &Device::Cpu).unwrap().into_inner()
}

/// The message without the backtrace candle adds when the environment asks for one.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap().to_string()
}

/// Neither form panics, forward or backward, and they agree on the shape or on refusing.
fn agree(what: &str, own: Result<Tensor>, plain: Result<Tensor>) -> std::result::Result<(), TestCaseError> {
    match (own, plain) {
        (Ok(own), Ok(plain)) => {
            prop_assert_eq!(own.dims(), plain.dims());
            for y in [own, plain] {
                prop_assert!(y.sum_all().and_then(|y| y.backward()).is_ok(), "{}: no gradient", what);
            }
        }
        (Err(own), Err(_)) => {
            let message = first_line(&own);
            prop_assert!(message.contains(what) && message.contains('['), "{}", message);
        }
        (own, plain) => prop_assert!(false, "{}: {:?} but plain {:?}", what, own, plain),
    }
    Ok(())
}

/// Shapes of about the rank an operation wants, small sizes and 0 included.
fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        4 => prop::collection::vec(1usize..5, 4),
        2 => prop::collection::vec(1usize..5, 2),
        2 => prop::collection::vec(0usize..4, 0..6),
    ]
}

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0usize..4, 1 => Just(1000usize)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_two_operands(a in shape(), b in shape(), stride in count(), padding in 0usize..4, mixed in prop::bool::weighted(0.1)) {
        let (x, weight) = (ones(&a, DType::F32), ones(&b, if mixed { DType::F64 } else { DType::F32 }));
        let conv = plain::conv2d(&x, &weight, stride, padding);
        agree("conv2d", ops::conv2d(&x, &weight, stride, padding), conv)?;
        agree("linear", ops::linear(&x, &weight, None), plain::linear(&x, &weight, None))?;
        let bias = Some(&weight);
        agree("linear", ops::linear(&x, &x, bias), plain::linear(&x, &x, bias))?;
    }

    #[test]
    fn of_one_operand(a in shape(), size in count(), channels in count()) {
        let x = ones(&a, DType::F32);
        agree("max_pool2d", ops::max_pool2d(&x, size), plain::max_pool2d(&x, size))?;
        agree("global_avg_pool", ops::global_avg_pool(&x), plain::global_avg_pool(&x))?;
        agree("shortcut", ops::shortcut(&x, size, channels), plain::shortcut(&x, size, channels))?;
        let (own, other) = (ops::moments(&x), plain::moments(&x));
        prop_assert_eq!(own.map(|m| m.mean.dims().to_vec()).ok(), other.map(|m| m.mean.dims().to_vec()).ok());
    }

    #[test]
    fn of_normalization_and_loss(a in shape(), c in 0usize..5, d in 0usize..5, wrong in 0usize..8, smoothing in 0f64..1.0) {
        let x = ones(&a, DType::F32);
        let vector = |i: usize| ones(&[if i == wrong { d } else { c }], DType::F32);
        let stats = Statistics { mean: vector(0), var: vector(1), eps: 1e-5, center: vector(2), factor: 0.5 };
        let [gamma, beta] = [vector(3), vector(4)];
        let other = plain::normalize(&x, &gamma, &beta, &stats);
        agree("normalize", ops::normalize(&x, &gamma, &beta, &stats), other)?;
        let targets = Tensor::zeros(c, DType::U32, &Device::Cpu).unwrap();
        let other = plain::cross_entropy(&x, &targets, smoothing);
        agree("cross_entropy", ops::cross_entropy(&x, &targets, smoothing), other)?;
    }
}

#[test]
fn sizes_beyond_memory_are_refused() {
    let (x, weight) = (ones(&[1, 1, 3, 3], DType::F32), ones(&[1, 1, 3, 3], DType::F32));
    for form in [ops::conv2d, plain::conv2d] {
        for padding in [usize::MAX, usize::MAX / 2, usize::MAX / 4, 1 << 33] {
            assert!(form(&x, &weight, 1, padding).is_err(), "padding {padding}");
        }
    }
    for form in [ops::shortcut, plain::shortcut] {
        assert!(form(&x, 1, usize::MAX).is_err() && form(&x, 1, usize::MAX / 8).is_err());
        assert_eq!(form(&x, usize::MAX, 1).unwrap().dims(), [1, 1, 1, 1]);
    }
    for form in [ops::max_pool2d, plain::max_pool2d] {
        assert!(form(&x, usize::MAX).is_err());
    }
}

#[test]
fn messages_name_the_operation_and_the_shapes() {
    let (x, weight) = (ones(&[2, 3, 8, 8], DType::F32), ones(&[4, 5, 3, 3], DType::F32));
    let message = first_line(&ops::conv2d(&x, &weight, 1, 1).unwrap_err());
    for part in ["conv2d", "[2, 3, 8, 8]", "[4, 5, 3, 3]"] {
        assert!(message.contains(part), "{message}");
    }
}
