//! For any shapes, an operation gives a result or an error, never a panic.

use candle_core::{DType, Device, Result, Tensor};
use mbn::ops::{self, ChannelMap, Granularity, plain};
use proptest::prelude::*;

fn ones(shape: &[usize], dtype: DType) -> Tensor {
    // A variable, so that an accepted operation is differentiated too.
    candle_core::Var::ones(shape, dtype, &Device::Cpu).unwrap().into_inner()
}

/// The message without the backtrace candle adds when the environment asks for one.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap().to_string()
}

/// Demands no panic, forward or backward: a result that can be differentiated, or an error that names operation and shape.
fn stands(what: &str, y: Result<Tensor>) -> std::result::Result<(), TestCaseError> {
    match y {
        Ok(y) => prop_assert!(y.sum_all().and_then(|y| y.backward()).is_ok(), "{}: no gradient", what),
        Err(error) => {
            let message = first_line(&error);
            prop_assert!(message.contains(what) && message.contains('['), "{}", message);
        }
    }
    Ok(())
}

/// Shapes of about the rank an operation expects, small sizes and 0 included.
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
        stands("conv2d", ops::conv2d(&x, &weight, stride, padding))?;
        stands("linear", ops::linear(&x, &weight, None))?;
        stands("linear", ops::linear(&x, &x, Some(&weight)))?;
        stands("depthwise", ops::depthwise(&x, &weight, &ones(&[stride], DType::F32)))?;
    }

    #[test]
    fn of_one_operand(a in shape(), size in count(), channels in count()) {
        let x = ones(&a, DType::F32);
        stands("max_pool2d", ops::max_pool2d(&x, size))?;
        stands("global_avg_pool", ops::global_avg_pool(&x))?;
        stands("shortcut", ops::shortcut(&x, size, channels))?;
        for per in [Granularity::Channel, Granularity::Image] {
            prop_assert_eq!(ops::moments(&x, per).is_ok(), matches!(a.len(), 2 | 4) && !a.contains(&0));
        }
    }

    #[test]
    fn of_normalization_and_loss(a in shape(), c in 0usize..5, d in 0usize..5, wrong in 0usize..8, smoothing in 0f64..1.0) {
        let x = ones(&a, DType::F32);
        let vector = |i: usize| ones(&[if i == wrong { d } else { c }], DType::F32);
        let map = ChannelMap { mean: vector(0), slope: vector(1), shift: vector(2) };
        let fits = |i: usize| a[1] == if i == wrong { d } else { c };
        let valid = matches!(a.len(), 2 | 4) && !a.contains(&0) && (0..3).all(fits);
        prop_assert_eq!(ops::channel_map(&x, &map).is_ok(), valid);
        let targets = Tensor::zeros(c, DType::U32, &Device::Cpu).unwrap();
        stands("cross_entropy", ops::cross_entropy(&x, &targets, smoothing))?;
        let other = plain::cross_entropy(&x, &targets, smoothing);
        prop_assert_eq!(ops::cross_entropy(&x, &targets, smoothing).is_ok(), other.is_ok());
    }
}

#[test]
fn sizes_beyond_memory_are_refused() {
    let (x, weight) = (ones(&[1, 1, 3, 3], DType::F32), ones(&[1, 1, 3, 3], DType::F32));
    for padding in [usize::MAX, usize::MAX / 2, usize::MAX / 4, 1 << 33] {
        assert!(ops::conv2d(&x, &weight, 1, padding).is_err(), "padding {padding}");
    }
    assert!(ops::shortcut(&x, 1, usize::MAX).is_err() && ops::shortcut(&x, 1, usize::MAX / 8).is_err());
    assert_eq!(ops::shortcut(&x, usize::MAX, 1).unwrap().dims(), [1, 1, 1, 1]);
    assert!(ops::max_pool2d(&x, usize::MAX).is_err());
}

#[test]
fn messages_name_the_operation_and_the_shapes() {
    let (x, weight) = (ones(&[2, 3, 8, 8], DType::F32), ones(&[4, 5, 3, 3], DType::F32));
    let message = first_line(&ops::conv2d(&x, &weight, 1, 1).unwrap_err());
    for part in ["conv2d", "[2, 3, 8, 8]", "[4, 5, 3, 3]"] {
        assert!(message.contains(part), "{message}");
    }
}
