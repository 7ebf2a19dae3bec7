//! Statistics estimated while the network infers, from the moments of each image ([`Pass::Observe`]).

use std::ops::Range;

use super::evaluate::{EVAL_BATCH, Part};
use super::precise::{self, MomentPool};
use crate::Result;
use crate::model::Network;
use crate::norm::{Moments, Pass};

/// Statistics as of [`precise::population`], but estimated layer by layer, in the network's order: each layer's are those of
/// its input in a network whose earlier layers already normalize by theirs, as in inference, so they do not depend on
/// batches. Takes one pass over the images for every layer.
pub fn layer_by_layer(network: &Network, part: Part) -> Result<Vec<Option<Moments>>> {
    let old = precise::current(network)?;
    let estimated = (0..network.norms().len()).try_for_each(|i| {
        let found = observe(network, part, i..i + 1)?.into_iter().map(|seen| seen.map(|seen| seen.values));
        let skipped = std::iter::repeat_with(|| None).take(i);
        precise::set(network, &skipped.chain(found).collect::<Vec<_>>())
    });
    let found = precise::current(network);
    precise::set(network, &old)?;
    estimated.and(found)
}

/// Statistics, and the pass with weight 1/N, for inference in the manner of EvalNorm (Singh & Shrivastava, ICCV 2019,
/// arXiv 1904.06031): layers normalize an image as they would on average in a batch of N with it. `images` is N.
///
/// For a batch of N images drawn independently that has the image x, E\[mu_B\] is (1-1/N) M + m_x/N, and E\[v_B\] is the variance
/// of example weighing at 1/N less (N-1)/N² V, V the variance of the images' means m. The remembered variance v has weight
/// (N-1)/N in it, so v is reduced by V/N. M, v and V are those of the images in `part`, from one pass under `population`,
/// their statistics by [`precise::population`].
pub fn evalnorm(
    network: &Network,
    part: Part,
    population: &[Option<Moments>],
    images: usize,
) -> Result<(Vec<Option<Moments>>, Pass)> {
    let seen = precise::with_statistics(network, population, || observe(network, part, 0..network.norms().len()))?;
    let lessened = |seen: LayerMoments| -> Result<Moments> {
        let var = (seen.values.var - seen.means.var.affine(1.0 / images as f64, 0.0)?)?;
        // Not by `relu`, which would turn NaN into 0.
        let var = var.lt(0.0)?.where_cond(&var.zeros_like()?, &var)?;
        Ok(Moments { mean: seen.values.mean, var })
    };
    let statistics = seen.into_iter().map(|seen| seen.map(lessened).transpose()).collect::<Result<_>>()?;
    Ok((statistics, Pass::Weighed { weight: 1.0 / images as f64 }))
}

/// Mean and variance, (C), of all values of a layer's input, and of the images' means.
struct LayerMoments {
    values: Moments,
    means: Moments,
}

/// The moments of some layers' inputs; none for layers that remember nothing.
fn observe(network: &Network, part: Part, layers: Range<usize>) -> Result<Vec<Option<LayerMoments>>> {
    let layers = &network.norms()[layers];
    let mut pools: Vec<[MomentPool; 2]> = layers.iter().map(|_| Default::default()).collect();
    for from in (0..part.indices.len()).step_by(EVAL_BATCH) {
        let batch = part.batch(from, (from + EVAL_BATCH).min(part.indices.len()))?;
        network.forward(&batch.x, Pass::Observe)?;
        for ([values, means], layer) in pools.iter_mut().zip(layers) {
            let Some(Moments { mean, var }) = layer.norm.affine().seen() else { continue };
            let points = Moments { mean: mean.clone(), var: var.zeros_like()? };
            values.add(&Moments { mean, var }.over_images()?, batch.len())?;
            means.add(&points.over_images()?, batch.len())?;
        }
    }
    let seen = pools.iter().zip(layers).map(|([values, means], layer)| {
        let Some(like) = layer.norm.inference().map(|moments| moments.mean) else { return Ok(None) };
        Ok(Some(LayerMoments { values: values.moments(&like)?, means: means.moments(&like)? }))
    });
    seen.collect()
}
