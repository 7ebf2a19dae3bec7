//! Re-estimation of the statistics under frozen weights (PreciseBN: Wu & Johnson 2021, arXiv 2105.07576).

use candle_core::{DType, Tensor};

use super::evaluate::{EVAL_BATCH, Part};
use super::guard::is_finite;
use crate::Result;
use crate::model::Network;
use crate::norm::{Moments, Pass};

/// The statistics of every normalizer's input over the images of `part` (not augmented), pooled over batches of up to
/// 256 by the law of total variance; within a batch, layers normalize with the batch's statistics. None for layers
/// without batch statistics.
pub fn population(network: &Network, part: Part) -> Result<Vec<Option<Moments>>> {
    let mut pools: Vec<MomentPool> = network.norms().iter().map(|_| MomentPool::default()).collect();
    let total = part.indices.len();
    // Batches of nearly equal size: a last batch of a single image would have no variance.
    let batches = total.div_ceil(EVAL_BATCH);
    for i in 0..batches {
        let batch = part.batch(i * total / batches, (i + 1) * total / batches)?;
        network.forward(&batch.x, Pass::Batch)?;
        for (pool, layer) in pools.iter_mut().zip(network.norms()) {
            if let Some(seen) = layer.norm.observed() {
                pool.add(&seen.batch, seen.count)?;
            }
        }
    }
    let like = network.norms().iter().map(|layer| layer.norm.inference());
    pools.iter().zip(like).map(|(pool, like)| like.map(|like| pool.moments(&like.mean)).transpose()).collect()
}

/// Runs `body` with the inference statistics replaced by `statistics`, then puts the old ones back.
pub fn with_statistics<T>(
    network: &Network,
    statistics: &[Option<Moments>],
    body: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let old = current(network)?;
    set(network, statistics)?;
    let result = body();
    set(network, &old)?;
    result
}

/// The inference statistics of every layer that has some, in storage of their own.
pub(super) fn current(network: &Network) -> Result<Vec<Option<Moments>>> {
    network.norms().iter().map(|layer| Ok(layer.norm.inference().map(|m| m.copy()).transpose()?)).collect()
}

/// Replaces the inference statistics of every layer for which there are new ones.
pub fn set(network: &Network, statistics: &[Option<Moments>]) -> Result<()> {
    for (layer, moments) in network.norms().iter().zip(statistics) {
        if let Some(moments) = moments {
            layer.norm.set_inference(moments)?;
        }
    }
    Ok(())
}

/// The first layer, by its path, whose statistics are not finite.
pub fn first_not_finite<'a>(network: &'a Network, statistics: &[Option<Moments>]) -> Result<Option<&'a str>> {
    for (layer, moments) in network.norms().iter().zip(statistics) {
        if let Some(Moments { mean, var }) = moments
            && !(is_finite(mean)? && is_finite(var)?)
        {
            return Ok(Some(&layer.name));
        }
    }
    Ok(None)
}

/// Statistics of several batches, to be pooled.
#[derive(Default)]
pub(super) struct MomentPool(Vec<BatchMoments>);

/// One batch's statistics, in f64.
struct BatchMoments {
    mean: Vec<f64>,
    var: Vec<f64>,
    count: f64,
}

impl MomentPool {
    pub(super) fn add(&mut self, batch: &Moments, count: usize) -> Result<()> {
        let host = |t: &Tensor| t.to_dtype(DType::F64)?.to_vec1::<f64>();
        self.0.push(BatchMoments { mean: host(&batch.mean)?, var: host(&batch.var)?, count: count as f64 });
        Ok(())
    }

    /// The pooled mean and biased variance, in the type and on the device of `like` (C).
    pub(super) fn moments(&self, like: &Tensor) -> Result<Moments> {
        let total: f64 = self.0.iter().map(|seen| seen.count).sum();
        let weighted = |f: &dyn Fn(&BatchMoments) -> f64| self.0.iter().map(|p| f(p) * p.count).sum::<f64>() / total;
        let channels = like.elem_count();
        let mean: Vec<f64> = (0..channels).map(|c| weighted(&|p| p.mean[c])).collect();
        let var: Vec<f64> = (0..channels).map(|c| weighted(&|p| p.var[c] + (p.mean[c] - mean[c]).powi(2))).collect();
        let tensor = |v: Vec<f64>| Tensor::from_vec(v, channels, like.device())?.to_dtype(like.dtype());
        Ok(Moments { mean: tensor(mean)?, var: tensor(var)? })
    }
}
