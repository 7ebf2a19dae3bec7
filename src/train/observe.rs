//! Statistics estimated while the network infers, from the moments of each image ([`Pass::Observe`]).

use std::ops::Range;

use super::evaluate::{EVAL_BATCH, Part};
use super::precise::{self, MomentPool};
use crate::Result;
use crate::model::Network;
use crate::norm::{Moments, Pass};

/// Re-estimated statistics as [`precise::population`] has them, but layer by layer, in the order data meets them: each
/// layer's are those of its input in a network whose earlier layers already normalize by theirs, as they will in inference,
/// whatever the batches that the images come in. It takes a pass over the images for every layer.
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

/// Statistics to infer with in the manner of EvalNorm (Singh & Shrivastava, ICCV 2019, arXiv 1904.06031), by
/// [`Pass::Weighed`] with weight 1/N: on average, and given an image, its layers normalize it as in a batch of N.
///
/// For a batch of N images drawn independently that has the image x, E\[mu_B\] is (1-1/N) M + m_x/N, and E\[v_B\] is the variance
/// of example weighing at 1/N less (N-1)/N² V, V the variance of the images' means m. As the remembered variance v has a share
/// of (N-1)/N in that, it is lessened by V/N: what a batch's variance is short of v. M, v and V are those of the images in
/// `part`, by one pass under the statistics of [`precise::population`].
pub fn evalnorm(network: &Network, part: Part, images: usize) -> Result<Vec<Option<Moments>>> {
    let rough = precise::population(network, part)?;
    let seen = precise::with_statistics(network, &rough, || observe(network, part, 0..network.norms().len()))?;
    let lessened = |seen: LayerMoments| -> Result<Moments> {
        let var = (seen.values.var - seen.means.var.affine(1.0 / images as f64, 0.0)?)?.relu()?;
        Ok(Moments { mean: seen.values.mean, var })
    };
    seen.into_iter().map(|seen| seen.map(lessened).transpose()).collect()
}

/// What the images make of a layer's input: mean and variance, (C), of all its values, and of the images' means.
struct LayerMoments {
    values: Moments,
    means: Moments,
}

/// What some layers see; none where nothing is remembered.
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
