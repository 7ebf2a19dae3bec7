//! Feature maps computed by Winograd's algorithm: which ones, and that results differ by rounding only.

use candle_core::{Result, Tensor};
use mbn::model::fused::Workspace;
use mbn::model::units::{Builder, ConvShape, GlobalAvgPool, Units};
use mbn::norm::Pass;

use crate::chain::{CLASSES, Chain, LabelledImages, Recipe, host, spec};
use crate::support::on_one_isa;
use crate::units::check;

/// A block of that many channels after a convolution, on feature maps as large as the image.
fn block(channels: usize) -> impl Fn(&Builder) -> Result<Units> {
    move |b| {
        let conv = ConvShape { size: 3, stride: 1, padding: 1 };
        Ok(vec![
            Box::new(b.conv_norm("conv", "norm", [2, channels], conv)?),
            Box::new(b.pp("block").block([channels; 2], 1)?),
            Box::new(GlobalAvgPool),
            Box::new(b.linear("last", [channels, CLASSES])?),
        ])
    }
}

/// In f64: among so many values in f32, one is so close to zero that it passes a ReLU in only one of the two computations,
/// and its gradient with it. Rounding in f32 is bounded by the tests of the kernels.
#[test]
fn maps_that_tiles_fill_or_do_not_are_the_same_in_both_forms() {
    let _isa = on_one_isa();
    for (channels, side) in [16, 32].into_iter().flat_map(|c| [8, 12, 14, 15, 16, 28, 32].map(|side| (c, side))) {
        let recipe = Recipe { shape: [2, side, side], build: &block(channels) };
        for n in [1, 5] {
            let what = format!("{channels} channels of {side}x{side}");
            check::<f64>(&what, recipe, &spec("bn", ""), n);
        }
    }
}

/// The logits of a training pass.
fn logits(recipe: Recipe, n: usize, winograd: bool) -> Vec<f64> {
    let chain = Chain::<f32>::new(recipe, &spec("bn", ""), Some(Workspace::new(winograd)));
    host(&chain.pass(&LabelledImages::new::<f32>("x", n, recipe.shape).x, Pass::Train).unwrap())
}

#[test]
fn only_maps_that_tiles_fill_are_computed_in_tiles() {
    let _isa = on_one_isa();
    let differ = |channels: usize, [h, w]: [usize; 2]| {
        let recipe = Recipe { shape: [2, h, w], build: &block(channels) };
        logits(recipe, 8, true) != logits(recipe, 8, false)
    };
    // 4x4 tiles; 2x2 tiles, which need more channels to pay off; neither.
    assert!([[32, 32], [16, 28], [12, 12]].into_iter().all(|map| differ(16, map)));
    assert!([[14, 14], [12, 18]].into_iter().all(|map| differ(32, map) && !differ(16, map)));
    assert!(![[15, 15], [14, 15], [13, 16]].into_iter().any(|map| differ(32, map)));
}

/// Of four images or more: with fewer, the last layer sums in another order.
#[test]
fn an_image_has_the_same_bits_in_any_batch() {
    let _isa = on_one_isa();
    for channels in [16, 32] {
        let recipe = Recipe { shape: [2, 32, 32], build: &block(channels) };
        let chain = Chain::<f32>::new(recipe, &spec("bn", ""), Some(Workspace::new(true)));
        let x = LabelledImages::new::<f32>("x", 9, recipe.shape).x;
        chain.pass(&x, Pass::Train).unwrap();
        let of = |x: &Tensor| host(&chain.pass(x, Pass::Eval).unwrap());
        let whole = of(&x);
        for cut in [4, 5] {
            let parts = [(0, cut), (cut, 9 - cut)].map(|(from, len)| of(&x.narrow(0, from, len).unwrap()));
            assert_eq!(parts.concat(), whole, "{channels} channels, cut at {cut}");
        }
    }
}
