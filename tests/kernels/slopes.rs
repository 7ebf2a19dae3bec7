//! Gradients of the fused passes by finite differences of the loss, in f64, for the normalizers whose gradient is exact.

use mbn::model::fused::Workspace;
use mbn::norm::{NormSpec, Pass};

use crate::chain::{ALL, Chain, LabelledImages, POOLED, RESIDUAL, Recipe, host, set, spec};

/// A fused chain with one batch in its memory, so that history matters.
fn chain(recipe: Recipe, spec: &NormSpec) -> Chain<f64> {
    let chain = Chain::new(recipe, spec, Some(Workspace::new(true)));
    chain.pass(&LabelledImages::new::<f64>("before", 3, recipe.shape).x, Pass::Train).unwrap();
    chain
}

/// The loss with one value of one parameter moved.
fn loss(
    recipe: Recipe,
    spec: &NormSpec,
    pass: Pass,
    images: &LabelledImages,
    (name, i, by): (&str, usize, f64),
) -> f64 {
    let chain = chain(recipe, spec);
    let (_, var) = chain.parameters().into_iter().find(|(known, _)| known == name).unwrap();
    let mut values = host(&var);
    values[i] += by;
    set(&var, values);
    let logits = chain.pass(&images.x, pass).unwrap();
    images.loss(&logits).unwrap().to_scalar().unwrap()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let exact = "size = 2\nstat_grad = \"weighted\"";
    let mean = "size = 2\nstat_grad = \"weighted\"\npool = \"mean\"";
    let groups = [("gn", ""), ("ln", ""), ("gn-bn", ""), ("gn-bn", "images = 4\ngroup_size = 1")];
    let others =
        [("bn", ""), ("mbn", exact), ("mbn", mean), ("iebn", ""), ("frn", ""), ("bnet", ""), ("dyt", ""), ("none", "")];
    let rivals = [("brn", "r_max = 1.0\nd_max = 0.0"), ("momentum-bn", ""), ("hybrid", ""), ("stochnorm", "")];
    let normalizers: Vec<_> = groups.into_iter().chain(others).chain(rivals).collect();
    for ((_, recipe), (norm, params)) in ALL.into_iter().flat_map(|r| normalizers.iter().map(move |n| (r, *n))) {
        check(recipe, norm, params, Pass::Train);
    }
}

#[test]
fn gradients_under_frozen_statistics_are_those_of_an_affine_map() {
    for norm in ["bn", "mbn", "mabn", "cbn", "gn", "gn-bn", "iebn", "estbn", "online", "hybrid", "bnet", "dyt"] {
        check(RESIDUAL, norm, "", Pass::Frozen);
    }
    check(POOLED, "mbn", "", Pass::Frozen);
}

/// Demands that every parameter's gradient in that pass is the derivative of the loss.
fn check(recipe: Recipe, norm: &str, params: &str, pass: Pass) {
    let (spec, images) = (spec(norm, params), LabelledImages::new::<f64>("pictures", 3, recipe.shape));
    let numbers = chain(recipe, &spec).differentiate(&images, pass).unwrap();
    for (name, _) in chain(recipe, &spec).parameters() {
        let gradient = &numbers[&format!("gradient of {name}")];
        let scale = gradient.iter().fold(1e-3f64, |scale, g| scale.max(g.abs()));
        // The entry with the largest gradient, and one in the middle.
        let largest = (0..gradient.len()).max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs())).unwrap();
        for i in [largest, gradient.len() / 2] {
            // The step stays below the distance to the next kink for these images.
            let h = 1e-6;
            let at = |by| loss(recipe, &spec, pass, &images, (&name, i, by));
            let slope = (at(h) - at(-h)) / (2.0 * h);
            let off = (slope - gradient[i]).abs() / scale;
            assert!(off < 1e-6, "{norm} {params}, {name}, {i}: {} for {slope}, off by {off:e}", gradient[i]);
        }
    }
}
