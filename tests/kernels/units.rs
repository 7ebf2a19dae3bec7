//! Chains of units, fused against plain: the result of every pass, gradients, state.

use candle_core::Result;
use mbn::model::fused::Workspace;
use mbn::model::units::{Builder, ConvShape, Flatten, Units};
use mbn::norm::{NORMS, NormSpec, Pass};

use crate::chain::{CLASSES, Chain, LabelledImages, Numbers, Recipe, fitting, host, spec};
use crate::support::{Real, on_one_isa};

/// Largest difference allowed, relative to the largest value of a tensor.
fn tolerance<T: Real>() -> f64 {
    (T::UNIT * 1e4).max(1e-11)
}

/// Compared only in f64, where they agree. In f32 one or both are further from f64 than the tolerance: BNET with a kernel
/// of one tap (BN as two maps) on two images, and HybridBN's plain implementation with its default.
const ILL_CONDITIONED: [(&str, &str); 2] = [("bnet", "kernel = 1"), ("hybrid", "")];

/// The results of every kind of pass, with gradients for training passes, up to one that is refused; and the reason.
fn story<T: Real>(chain: &Chain<T>, n: usize, shape: [usize; 3]) -> (Numbers, Option<String>) {
    let mut numbers = Numbers::new();
    let refused = tell(chain, n, shape, &mut numbers).err();
    numbers.append(&mut chain.statistics());
    (numbers, refused.map(|error| error.to_string().lines().next().unwrap_or_default().into()))
}

fn tell<T: Real>(chain: &Chain<T>, n: usize, shape: [usize; 3], numbers: &mut Numbers) -> Result<()> {
    let [first, second, third] = ["first", "second", "third"].map(|tag| LabelledImages::new::<T>(tag, n, shape));
    let logits = |of: &LabelledImages, pass| chain.pass(&of.x, pass).map(|logits| host(&logits));
    numbers.insert("train".into(), logits(&first, Pass::Train)?);
    numbers.insert("refresh".into(), logits(&first, Pass::REFRESH)?);
    numbers.append(&mut chain.train(&second)?);
    // Move the weights, as an update would.
    chain.nudge();
    let third_step = chain.train(&third)?.into_iter().map(|(name, values)| (format!("{name}, moved"), values));
    numbers.extend(third_step);
    numbers.insert("refresh of the older".into(), logits(&first, Pass::Refresh { age: 1 })?);
    numbers.insert("refresh of the newer".into(), logits(&second, Pass::REFRESH)?);
    let frozen = chain.differentiate(&third, Pass::Frozen)?;
    numbers.extend(frozen.into_iter().map(|(name, values)| (format!("{name}, frozen"), values)));
    let weighed = ("weighed", Pass::Weighed { weight: 0.25 });
    let constants = [("evaluation", Pass::Eval), weighed, ("observing", Pass::Observe)];
    for (what, pass) in constants.into_iter().chain([("probe", Pass::Probe), ("batch", Pass::Batch)]) {
        numbers.insert(what.into(), logits(&third, pass)?);
    }
    Ok(())
}

fn assert_close(what: &str, got: &Numbers, want: &Numbers, tolerance: f64) {
    assert!(got.keys().eq(want.keys()), "{what}: {:?}", got.keys());
    for ((name, got), want) in got.iter().zip(want.values()) {
        assert_eq!(got.len(), want.len(), "{what}, {name}");
        let scale = want.iter().fold(1e-2f64, |scale, v| scale.max(v.abs()));
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let off = (got - want).abs() / scale;
            assert!(off <= tolerance, "{what}, {name}, {i}: {got} for {want}, off by {off:e} of {scale}");
        }
    }
}

/// Demands that the fused implementation, with and without Winograd's algorithm, equals the plain one, or refuses likewise.
pub fn check<T: Real>(what: &str, recipe: Recipe, spec: &NormSpec, n: usize) {
    let what = format!("{what}, {n} images, {:?}", T::DTYPE);
    let told = |workspace| story(&Chain::<T>::new(recipe, spec, workspace), n, recipe.shape);
    let (want, refused) = told(None);
    for winograd in [false, true] {
        let what = format!("{what}, winograd {winograd}");
        let (got, error) = told(Some(Workspace::new(winograd)));
        assert_eq!(error, refused, "{what}");
        assert_close(&what, &got, &want, tolerance::<T>());
    }
}

#[test]
fn every_normalizer_is_the_same_in_both_forms() {
    let _isa = on_one_isa();
    let params = |name: &str| match name {
        // An offset d of several deviations in layer after layer leaves little of f32 to the differences of two values.
        "brn" => "d_max = 0.5",
        _ => "",
    };
    let mut specs: Vec<(String, String)> =
        NORMS.iter().map(|kind| (kind.name.into(), params(kind.name).into())).collect();
    let others = [
        ("brn", "r_max = 1.2\nd_max = 0.2\nmomentum = 0.3"),
        ("hybrid", "alpha = 0.4"),
        ("hybrid", "alpha = 0.8\nmomentum = 0.3"),
        ("bnet", "kernel = 5"),
        ("gn", "groups = 4"),
        ("gn-bn", "images = 3\nweighing = 0.3"),
        ("gn-bn", "images = 4\ngroup_size = 1"),
        ("online", "compensation = \"none\"\ndecay = 0.9\ngrad_decay = 0.9"),
    ];
    specs.extend(others.map(|(name, params)| (name.into(), params.into())));
    for (grad, pool) in
        ["memorized", "weighted", "full", "none"].iter().flat_map(|g| ["total", "mean"].map(|pool| (g, pool)))
    {
        let params = format!("size = 3\ndecay = 0.9\nstat_grad = \"{grad}\"\npool = \"{pool}\"");
        specs.push(("mbn".into(), params));
    }
    specs.push(("mbn".into(), "size = 2\nrefresh = \"batch\"".into()));
    for (name, params) in specs {
        for (chain, recipe) in fitting(&name) {
            for n in [1, 2, 5] {
                let (what, spec) = (format!("{chain}, {name} {params}"), spec(&name, &params));
                check::<f64>(&what, recipe, &spec, n);
                if !ILL_CONDITIONED.contains(&(&name[..], &params[..])) {
                    check::<f32>(&what, recipe, &spec, n);
                }
            }
        }
    }
}

/// Output positions of a convolution along one axis.
fn windows(ConvShape { size, stride, padding }: ConvShape, len: usize) -> usize {
    (len + 2 * padding - size) / stride + 1
}

#[test]
fn convolutions_of_any_geometry_are_the_same_in_both_forms() {
    let _isa = on_one_isa();
    let spec = spec("mbn", "size = 3");
    // Size, stride, padding; rows and columns; channels in and out.
    let cases = [
        ([1, 1, 0], [5, 4], [3, 17]),
        ([1, 2, 0], [5, 4], [16, 20]),
        ([1, 1, 1], [4, 3], [3, 5]),
        ([1, 3, 2], [7, 5], [5, 3]),
        ([2, 1, 1], [5, 5], [3, 3]),
        ([2, 2, 0], [7, 6], [5, 16]),
        ([2, 3, 0], [8, 10], [17, 4]),
        ([2, 3, 1], [8, 10], [4, 17]),
        ([3, 1, 0], [9, 7], [5, 17]),
        ([3, 1, 1], [7, 5], [20, 33]),
        ([3, 1, 1], [1, 1], [16, 17]),
        ([3, 1, 1], [1, 6], [3, 50]),
        ([3, 1, 2], [4, 5], [5, 6]),
        ([3, 1, 3], [4, 5], [5, 6]),
        ([3, 2, 0], [8, 9], [5, 6]),
        ([3, 2, 1], [9, 7], [16, 20]),
        ([3, 2, 1], [8, 10], [17, 5]),
        ([3, 3, 1], [8, 7], [3, 16]),
        ([4, 2, 1], [9, 8], [3, 5]),
        ([5, 1, 0], [9, 11], [3, 20]),
        ([5, 1, 2], [6, 7], [5, 33]),
        ([5, 2, 0], [10, 9], [3, 5]),
        ([5, 3, 2], [11, 10], [3, 16]),
        ([7, 2, 3], [12, 13], [3, 9]),
        // With Winograd's algorithm, forward and backward, from some number of images on.
        ([3, 1, 1], [16, 16], [32, 33]),
        ([3, 1, 1], [8, 8], [33, 50]),
        ([3, 1, 2], [8, 6], [34, 32]),
        ([3, 1, 0], [10, 10], [32, 32]),
    ];
    for ([size, stride, padding], [h, w], [input, output]) in cases {
        let conv = ConvShape { size, stride, padding };
        let features = output * windows(conv, h) * windows(conv, w);
        // One convolution before it, so that its input gradient counts.
        let build = |b: &Builder| {
            let units: Units = vec![
                Box::new(b.conv_norm(
                    "before",
                    "before_norm",
                    [2, input],
                    ConvShape { size: 3, stride: 1, padding: 1 },
                )?),
                Box::new(b.conv_norm("conv", "norm", [input, output], conv)?),
                Box::new(Flatten),
                Box::new(b.linear("last", [features, CLASSES])?),
            ];
            Ok(units)
        };
        let recipe = Recipe { shape: [2, h, w], build: &build };
        for n in [1, 3, 9] {
            let what = format!("{conv:?} on {h}x{w}, {input} to {output}");
            check::<f64>(&what, recipe, &spec, n);
            check::<f32>(&what, recipe, &spec, n);
        }
    }
}

#[test]
fn what_a_buffer_held_before_does_not_matter() {
    let _isa = on_one_isa();
    for norm in ["bn", "gn", "frn", "cbn", "online", "iebn", "bnet"] {
        for (_, recipe) in fitting(norm) {
            let told = |workspace| story(&Chain::<f32>::new(recipe, &spec(norm, ""), Some(workspace)), 4, recipe.shape);
            let used = Workspace::new(true);
            let mut nothing = LabelledImages::new::<f32>("nothing", 4, recipe.shape);
            nothing.x = (nothing.x * f64::NAN).unwrap();
            let poisoned = Chain::new(recipe, &spec(norm, ""), Some(used.clone())).train(&nothing).unwrap();
            assert!(poisoned["gradient of last.bias"].iter().all(|v| v.is_nan()));
            assert_eq!(told(used), told(Workspace::new(true)), "{norm}");
        }
    }
}

#[test]
fn units_that_do_not_fit_are_refused_in_both_forms() {
    let build = |b: &Builder| {
        let units: Units = vec![
            Box::new(b.conv_norm("conv", "norm", [3, 4], ConvShape { size: 5, stride: 1, padding: 1 })?.pooled()),
            Box::new(Flatten),
            Box::new(b.linear("last", [4, CLASSES])?),
        ];
        Ok(units)
    };
    // Too few channels; smaller than the kernel; smaller than the pool; more features than the last layer takes.
    for (shape, word) in
        [([2, 9, 9], "conv2d"), ([3, 2, 9], "conv2d"), ([3, 3, 9], "max_pool2d"), ([3, 10, 14], "linear")]
    {
        for workspace in [None, Some(Workspace::<f32>::new(true))] {
            let chain = Chain::new(Recipe { shape, build: &build }, &spec("bn", ""), workspace);
            let error = chain.pass(&LabelledImages::new::<f32>("x", 2, shape).x, Pass::Train).unwrap_err().to_string();
            assert!(error.contains(word), "{shape:?}: {error}");
        }
    }
}
