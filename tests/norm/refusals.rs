//! Inputs and parameters that are refused, and the errors.

use candle_core::error::Context;
use candle_core::{DType, Device, Error, Result, Tensor};
use mbn::model::Store;
use mbn::norm::{self, NORMS, NormError, NormSpec, Pass, Site, is_undefined};
use toml::Table;

use crate::reference::Reference;
use crate::support::{assert_close, data, host, layer, refreshed};

#[test]
fn one_value_per_channel_is_refused_or_has_a_rule() {
    let (x, spatial) = (data(&[1, 3], 1), data(&[1, 3, 2, 2], 1));
    let refusal = |name: &str, params: &str| {
        let error = layer(name, params, 3).forward(&x, Pass::Train).unwrap_err();
        assert!(is_undefined(&error), "{error}");
        error.to_string()
    };
    for name in ["bn", "brn", "momentum-bn", "hybrid", "stochnorm", "deferred", "bnet"] {
        assert!(refusal(name, "").contains("gn"));
    }
    assert!(refusal("mbn", "size = 1").contains("bn1"));
    assert!(refusal("mbn", "pool = \"mean\"").contains("total"));
    assert!(refusal("mbn", "stat_grad = \"full\"").contains("memorized"));
    for params in ["grad_size = 1", "size = 4\ngrad_size = 1"] {
        assert!(refusal("mbn", params).contains("grad_samples"));
    }
    layer("bn", "", 3).forward(&spatial, Pass::Train).unwrap();

    // The first batch is only scaled and shifted; from the second on, the variance is that between batches.
    let norm = layer("mbn", "size = 8\ndecay = 1.0", 3);
    let first = host(&norm.forward(&x, Pass::Train).unwrap());
    let affine: Vec<f64> = host(&x)
        .iter()
        .enumerate()
        .map(|(c, v)| (0.7 + 0.3 * c as f64) * v / (1f64 + 1e-5).sqrt() - 0.2 + 0.3 * c as f64)
        .collect();
    assert_close(&first, &affine, 1e-12);
    let mut seen = vec![host(&x)];
    for step in 2..6 {
        let x = data(&[1, 3], step);
        let y = host(&norm.forward(&x, Pass::Train).unwrap());
        seen.push(host(&x));
        for c in 0..3 {
            let column: Vec<f64> = seen.iter().map(|row| row[c]).collect();
            let (mu, v) = Reference::statistics(&column);
            let want = (0.7 + 0.3 * c as f64) * (host(&x)[c] - mu) / (v + 1e-5).sqrt() - 0.2 + 0.3 * c as f64;
            assert!((y[c] - want).abs() < 1e-10, "step {step} channel {c}: {} {want}", y[c]);
        }
    }
    assert!(is_undefined(&norm.forward(&x, Pass::Batch).unwrap_err()));
}

/// A refusal is recognised by its type, through every wrapper of candle's errors, and not by its text.
#[test]
fn a_refusal_is_recovered_by_its_type() {
    let refused = || layer("bn", "", 3).forward(&data(&[1, 3], 1), Pass::Train);
    let plain = refused().unwrap_err();
    let text = plain.to_string();
    assert!(text.starts_with("bn1: the batch holds one value per channel"), "{text}");
    assert!(matches!(NormError::of(&plain), Some(NormError::OneValue { layer, .. }) if layer == "bn1"), "{text}");

    let typed = || NormError::Shape { layer: "bn1".into(), features: 3, shape: 4.into() };
    for wrapped in [
        plain.context("step 7").with_path("net"),
        refused().context("step 7").unwrap_err(),
        refused().context("step 7").context("epoch 1").unwrap_err(),
    ] {
        assert!(is_undefined(&wrapped), "{wrapped}");
    }
    let other = Err::<(), _>(typed()).context("step 7").unwrap_err();
    assert!(matches!(NormError::of(&other), Some(NormError::Shape { features: 3, .. })), "{other}");
    assert!(!is_undefined(&other) && !is_undefined(&typed().into()));
    for words in [Error::Msg(text.clone()), Error::wrap(text.clone()), std::io::Error::other(text).into()] {
        assert!(NormError::of(&words).is_none(), "{words}");
    }
}

#[test]
fn groups_of_one_value_are_refused_and_larger_ones_are_not() {
    let (flat, map) = (data(&[1, 4], 1), data(&[1, 4, 2, 2], 1));
    for (name, params) in
        [("in", ""), ("gn", "group_size = 1"), ("gn-bn", "group_size = 1"), ("estbn", "group_size = 1")]
    {
        let error = layer(name, params, 4).forward(&flat, Pass::Train).unwrap_err();
        assert!(is_undefined(&error) && error.to_string().contains("bn1"), "{name}: {error}");
        layer(name, params, 4).forward(&map, Pass::Train).unwrap();
    }
    let error = layer("in", "", 4).forward(&data(&[3, 4, 1, 1], 1), Pass::Eval).unwrap_err();
    assert!(is_undefined(&error) && error.to_string().contains("`ln`"), "{error}");
    // Two images make a group of two values.
    layer("gn-bn", "group_size = 1", 4).forward(&data(&[2, 4], 1), Pass::Train).unwrap();
    let whole = [("gn", "groups = 2"), ("ln", ""), ("gn-bn", "groups = 2"), ("estbn", "groups = 2"), ("online", "")];
    for (name, params) in whole {
        let y = layer(name, params, 4).forward(&flat, Pass::Train).unwrap();
        assert!(host(&y).iter().all(|v| v.is_finite()), "{name}");
    }
    for name in ["iebn", "online", "estbn"] {
        let pass = if name == "iebn" { Pass::Train } else { Pass::Batch };
        assert!(is_undefined(&layer(name, "", 4).forward(&flat, pass).unwrap_err()), "{name}");
    }
}

#[test]
fn groups_that_do_not_divide_the_channels_are_refused() {
    for name in ["gn", "gn-bn", "estbn"] {
        let spec = NormSpec::new(name, &"group_size = 3".parse::<Table>().unwrap()).unwrap();
        let vb = candle_nn::VarBuilder::zeros(DType::F64, &Device::Cpu).pp("bn1");
        let error = spec.build(Site::new(4, vb)).unwrap_err().to_string();
        assert!(error.contains("bn1") && error.contains("group_size = 3"), "{name}: {error}");
    }
}

#[test]
fn wrong_shapes_are_refused_by_name() {
    for kind in NORMS {
        for shape in [&[2usize, 5][..], &[2, 5, 3, 3], &[2, 4, 3], &[4], &[0, 4], &[2, 4, 0, 3]] {
            let x = Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap();
            let error = layer(kind.name, "", 4).forward(&x, Pass::Train).unwrap_err().to_string();
            assert!(error.contains("bn1") && error.contains("4"), "{}: {error}", kind.name);
        }
    }
}

#[test]
fn refreshing_what_is_not_remembered_is_an_error() -> Result<()> {
    for kind in refreshed() {
        let norm = layer(kind.name, "", 3);
        let x = data(&[4, 3], 1);
        assert!(norm.forward(&x, Pass::REFRESH).is_err(), "{}", kind.name);
        norm.forward(&x, Pass::Train)?;
        norm.forward(&x, Pass::REFRESH)?;
        assert!(norm.forward(&x, Pass::Refresh { age: 1 }).is_err(), "{}", kind.name);
    }
    Ok(())
}

#[test]
fn parameters_out_of_range_are_refused() {
    let refused = |name: &str, params: &str, word: &str| {
        let error = NormSpec::new(name, &params.parse::<Table>().unwrap()).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    refused("mbn", "samples = 0", "samples");
    refused("mbn", "size = 5000", "size");
    refused("mbn", "grad_decay = -0.5", "grad_decay");
    refused("mbn", "decay = 1.5", "decay");
    refused("mbn", "decay = nan", "decay");
    refused("mbn", "decay = -0.1", "decay");
    refused("mbn", "pool = \"sum\"", "total");
    refused("mbn", "sise = 3", "sise");
    refused("bn", "momentum = 0.0", "momentum");
    refused("bn", "eps = -1.0", "eps");
    refused("brn", "r_max = 0.5", "r_max");
    refused("brn", "d_max = -1.0", "d_max");
    refused("brn", "warmup = 0.3", "r_relaxed");
    refused("brn", "schedule = \"jump\"", "switch");
    refused("momentum-bn", "ideal_batch_size = 0", "ideal_batch_size");
    refused("momentum-bn", "epochs = 1", "epochs");
    refused("hybrid", "alpha = 1.0", "alpha");
    refused("stochnorm", "p = 1.5", "probability");
    refused("stochnorm", "warmup = -0.1", "warmup");
    refused("deferred", "momentum = 2.0", "momentum");
    refused("gn", "groups = 0", "groups");
    for name in ["gn", "gn-bn", "estbn"] {
        refused(name, "groups = 4\ngroup_size = 2", "exclude");
    }
    refused("gn-bn", "images = 0", "images");
    refused("gn-bn", "weighing = 1.5", "weighing");
    refused("iebn", "gate_bias = inf", "gate_bias");
    refused("bnet", "kernel = 2", "kernel");
    refused("bnet", "momentum = 0.0", "momentum");
    refused("dyt", "alpha = 0.0", "alpha");
    refused("online", "decay = 1.0", "decay");
    refused("online", "grad_decay = -0.1", "grad_decay");
    refused("online", "compensation = \"ac\"", "ls");
    refused("none", "eps = 1.0", "eps");
    refused("mnb", "", "did you mean `mbn`");
}

/// What the table checks, a library user's own call checks, too.
#[test]
// Some configurations are nothing but an eps.
#[allow(clippy::needless_update)]
fn constructors_refuse_parameters_out_of_range() {
    let builder = || Store::fresh(0).builder(DType::F64, &Device::Cpu).pp("bn1");
    macro_rules! refuses {
        ($($constructor:ident($config:ident $($more:expr)?)),* $(,)?) => {$({
            let config = norm::$config { eps: -1.0, ..Default::default() };
            let error = norm::$constructor(4, config, $($more,)? builder()).unwrap_err().to_string();
            assert!(error.contains("eps = -1"), "{}: {error}", stringify!($constructor));
        })*};
    }
    refuses!(
        batch_norm(BatchNormConfig),
        memorized_batch_norm(MemorizedBatchNormConfig),
        group_norm(GroupNormConfig),
        layer_norm(LayerNormConfig),
        instance_norm(InstanceNormConfig),
        batch_renorm(BatchRenormConfig),
        momentum_batch_norm(MomentumBatchNormConfig),
        hybrid_batch_norm(HybridBatchNormConfig),
        stochastic_norm(StochasticNormConfig),
        deferred_batch_norm(DeferredBatchNormConfig),
        batch_group_norm(BatchGroupNormConfig),
        instance_enhancement_batch_norm(InstanceEnhancementBatchNormConfig),
        estimated_batch_norm(EstimatedBatchNormConfig),
        online_norm(OnlineNormConfig),
        moving_average_batch_norm(MovingAverageBatchNormConfig),
        filter_response_norm(FilterResponseNormConfig true),
        enhanced_batch_norm(EnhancedBatchNormConfig)
    );
}
