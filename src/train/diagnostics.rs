//! The distribution shift that Double-Forward exists for, measured.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::evaluate::Part;
use super::precise;
use crate::Result;
use crate::data::Batch;
use crate::model::Network;
use crate::norm::{Call, Moments, Pass, Progress};

/// One layer at one step. Divergences are symmetric, KL(p,q) + KL(q,p) of two Gaussians in nats, averaged over the
/// channels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShiftRow {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Updates made, this one included.
    pub step: usize,
    /// The normalizer, by its path in the network.
    pub layer: String,
    /// Between the batch's statistics before and after the update.
    pub shift: Option<f64>,
    /// Between the statistics that training would now normalize the same batch with and those of the training set, both
    /// under the updated weights; measured at the end of an epoch.
    pub used_to_population: Option<f64>,
    /// Between the statistics that inference would now use and those of the training set, likewise.
    pub inference_to_population: Option<f64>,
}

/// Statistics of every layer between backward pass and update: the batch's own.
#[derive(Debug, Clone, Default)]
pub struct PreUpdateMoments(Vec<Option<Moments>>);

impl PreUpdateMoments {
    /// Reads them off the network, after the training pass.
    pub fn of(network: &Network) -> Self {
        Self(network.norms().iter().map(|layer| layer.norm.observed().map(|seen| seen.batch)).collect())
    }

    /// The rows of the step at that point of training. Passes its last micro-batch, of `size` images, again under the updated
    /// weights, remembering nothing; with `population`, also takes the statistics of those images.
    pub fn compare(
        &self,
        network: &Network,
        progress: Progress,
        batch: &Batch,
        size: usize,
        (epoch, step): (usize, usize),
        population: Option<Part>,
    ) -> Result<Vec<ShiftRow>> {
        let last = batch.x.narrow(0, batch.len() - size, size)?;
        network.forward_at(&last, Call { pass: Pass::Probe, progress })?;
        let after: Vec<_> = network.norms().iter().map(|layer| layer.norm.observed()).collect();
        let population = population.map(|part| precise::population(network, part)).transpose()?;
        let mut rows = vec![];
        for (i, layer) in network.norms().iter().enumerate() {
            let (Some(before), Some(after)) = (&self.0[i], &after[i]) else { continue };
            let truth = population.as_ref().and_then(|layers| layers[i].as_ref());
            let inference = layer.norm.inference();
            rows.push(ShiftRow {
                epoch,
                step,
                layer: layer.name.clone(),
                shift: between(Some(before), Some(&after.batch))?,
                used_to_population: between(Some(&after.used), truth)?,
                inference_to_population: between(inference.as_ref(), truth)?,
            });
        }
        Ok(rows)
    }
}

/// The divergence where there are both, and it is finite.
fn between(p: Option<&Moments>, q: Option<&Moments>) -> Result<Option<f64>> {
    let Some((p, q)) = p.zip(q) else { return Ok(None) };
    Ok(Some(divergence(p, q)?).filter(|nats| nats.is_finite()))
}

/// Keeps the divergence finite for a channel without variance; the normalizers' default eps.
const EPS: f64 = 1e-5;

/// KL(p,q) + KL(q,p) for p = N(m1, v1), q = N(m2, v2), averaged over channels:
/// (v1 + d²)/(2 v2) + (v2 + d²)/(2 v1) - 1 with d = m1 - m2.
pub fn divergence(p: &Moments, q: &Moments) -> Result<f64> {
    let host = |t: &Tensor| t.to_dtype(DType::F64)?.to_vec1::<f64>();
    let (m1, v1, m2, v2) = (host(&p.mean)?, host(&p.var)?, host(&q.mean)?, host(&q.var)?);
    let channel = |c: usize| {
        let (v1, v2, d) = (v1[c] + EPS, v2[c] + EPS, m1[c] - m2[c]);
        (v1 + d * d) / (2.0 * v2) + (v2 + d * d) / (2.0 * v1) - 1.0
    };
    Ok((0..m1.len()).map(channel).sum::<f64>() / m1.len() as f64)
}
