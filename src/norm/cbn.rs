//! Cross-Iteration Batch Normalization (Yao et al. 2020, arXiv 2002.05712).
//!
//! Training: y = gamma (x - mu)/sqrt(v + eps) + beta with mu = mean of mu_i', v = mean of q_i' less mu², over the current batch
//! and `size` older ones, whose mean mu_i and mean square q_i are moved to the current weights W of the convolution or
//! linear layer before it by a first-order Taylor step: mu_i' = mu_i + <dmu_i/dW, W - W_i>, q_i' likewise. Entries with
//! q_i' < mu_i'² are left out, channel by channel.
//! Remembers: mu_i, q_i, their derivatives and W_i; running averages of the batch's mean and unbiased variance.
//! Gradient: older entries are constants, so BN's projection terms are scaled by 1/(entries that count).
//! Starts as BN, for `warmup` of the training. (The original adds eps to sqrt(v).)
//! Double-Forward: the batch's whole entry and its contribution to the averages are replaced by those under the updated
//! weights; it is pooled with the batches that were older than it in training, moved to those weights.
//! Inference: the running averages. One value per channel (n = 1): refused, as in BN.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::observed::Observation;
use super::registry::{Family, Site};
use super::ring::Ring;
use super::running::{Blend, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Call, Coefficients, Input, Moments, Norm, Pass, Producer, module_t};

/// Parameters of [`CrossIterationBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossIterationBatchNormConfig {
    /// Older batches pooled with the current one.
    pub size: usize,
    /// Fraction of the training that is plain BN.
    pub warmup: f64,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest batch in the running averages.
    pub momentum: f64,
}

impl Default for CrossIterationBatchNormConfig {
    fn default() -> Self {
        Self { size: 3, warmup: 0.05, eps: 1e-5, momentum: 0.1 }
    }
}

/// Cross-Iteration Batch Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct CrossIterationBatchNorm {
    affine: Affine,
    config: CrossIterationBatchNormConfig,
    history: Ring<6>,
    running: RunningAverage,
    observed: Observation,
}

const HISTORY: [StateTensor; 6] = [
    StateTensor::training("cbn_mean", 0.0),
    StateTensor::training("cbn_square", 0.0),
    StateTensor::training("cbn_mean_slope", 0.0),
    StateTensor::training("cbn_square_slope", 0.0),
    StateTensor::training("cbn_weight", 0.0),
    StateTensor::training("cbn_filled", 0.0),
];

/// One batch: mean and mean square (C), their derivatives (P) and (C,P), the weight they belong to (C,P), and 1; P is the
/// length of a row of the weight.
type Entry = [Tensor; 6];

/// A ring of `size` batches, each an [`Entry`].
fn history(weight: &Shape, size: usize, vb: &VarBuilder) -> Result<Ring<6>> {
    let c = weight.dims()[0];
    let p = weight.elem_count() / c;
    let [means, rows, slopes, filled] = [vec![size, c], vec![size, p], vec![size, c, p], vec![size]].map(Shape::from);
    Ring::new(HISTORY, [means.clone(), means, rows, slopes.clone(), slopes, filled], vb)
}

/// Means and mean squares (k,C) of some batches, moved to `weight`.
fn moved([means, squares, mean_slope, square_slope, weights, _]: Entry, weight: &Tensor) -> Result<(Tensor, Tensor)> {
    if means.dim(0)? == 0 {
        return Ok((means, squares));
    }
    let apart = weights.broadcast_sub(weight)?.neg()?;
    let along_means = apart.broadcast_mul(&mean_slope.unsqueeze(1)?)?.sum(2)?;
    Ok(((means + along_means)?, (squares + (apart * square_slope)?.sum(2)?)?))
}

/// A [`CrossIterationBatchNorm`] after a weight (out, in, kh, kw) or (out, in): `weight`, `bias`, `running_mean`,
/// `running_var` and the training state from `vb`. Training passes need a [`Producer`] ([`Norm::forward_at`]).
///
/// # Errors
/// Parameters out of range.
pub fn cross_iteration_batch_norm(
    weight: &Shape,
    config: CrossIterationBatchNormConfig,
    vb: VarBuilder,
) -> Result<CrossIterationBatchNorm> {
    CrossIterationBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let features = weight.dims()[0];
    Ok(CrossIterationBatchNorm {
        affine: Affine::new(features, config.eps, &vb)?,
        history: history(weight, config.size, &vb)?,
        running: RunningAverage::new(RUNNING, features, Blend::Unbiased, &vb)?,
        config,
        observed: Observation::default(),
    })
}

impl CrossIterationBatchNorm {
    /// The batches pooled with this one, moved to its weight; stores the batch's entry as the pass requires.
    fn older(&self, entry: &Entry, weight: &Tensor, call: Call) -> Result<(Tensor, Tensor)> {
        let (size, layer) = (self.config.size, self.affine.layer());
        let age = match call.pass {
            Pass::Train => {
                let older = moved(self.history.slots(0, self.history.filled()?)?, weight)?;
                self.history.push(entry, size + call.progress.parts)?;
                return Ok(older);
            }
            Pass::Refresh { age } => {
                self.history.replace(age, entry, layer)?;
                age
            }
            _ => 0,
        };
        let remembered = self.history.require(age, layer)?;
        moved(self.history.slots(age + 1, size.min(remembered - age - 1))?, weight)
    }

    /// The pooled statistics and, per channel, the weight of the current batch among them.
    fn pool(&self, batch: &Moments, call: Call, producer: &dyn Producer) -> Result<(Moments, Tensor)> {
        let weight = producer.weight()?.flatten_from(1)?;
        let (own, square) = batch.raw()?;
        let slope = producer.patch_correlation()?.affine(2.0, 0.0)?;
        let one = Tensor::ones(1, own.dtype(), own.device())?;
        let entry = [own.clone(), square.clone(), producer.patch_mean()?, slope, weight.clone(), one];
        let (means, squares) = self.older(&entry, &weight, call)?;
        if means.dim(0)? == 0 {
            return Ok((batch.clone(), own.ones_like()?));
        }
        let counts = squares.ge(&means.sqr()?)?.to_dtype(own.dtype())?;
        let share = (counts.sum(0)? + 1.0)?.recip()?;
        let mean_of = |own: &Tensor, older: &Tensor| (own + (older * &counts)?.sum(0)?)? * &share;
        let mean = mean_of(&own, &means)?;
        let var = (mean_of(&square, &squares)? - mean.sqr()?)?.maximum(0.0)?;
        Ok((Moments { mean, var }, share))
    }
}

impl Norm for CrossIterationBatchNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(batch) = &input.moments else { return self.affine.constant(&self.running.now.get()) };
        let count = input.count();
        self.affine.refuse_one_value(input.shape, count)?;
        let call = input.call;
        let taken = self.running.take(batch, count, self.config.momentum, call, self.affine.layer())?;
        let (mut used, mut share) = (batch.clone(), batch.var.ones_like()?);
        if taken.is_some() && call.progress.part() >= self.config.warmup {
            let Some(producer) = input.producer else {
                bail!("{}: `cbn` needs the layer before it; call `forward_at` with a `Producer`", self.affine.layer());
            };
            (used, share) = self.pool(batch, call, producer)?;
        }
        self.observed.set(batch, &used, count);
        let center = used.mean.clone();
        self.affine.shared(&used, count, center, share)
    }

    fn training_rule(&self) -> &'static str {
        "memory"
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::average(&self.running, &self.observed))
    }
}

module_t!(CrossIterationBatchNorm);

const STATE: [StateTensor; 8] =
    [RUNNING[0], RUNNING[1], HISTORY[0], HISTORY[1], HISTORY[2], HISTORY[3], HISTORY[4], HISTORY[5]];

impl Family for CrossIterationBatchNorm {
    const NAME: &'static str = "cbn";
    const ABOUT: &'static str = "Cross-Iteration Batch Normalization: older statistics moved to the current weights";
    const REFRESHES: bool = true;
    const NEEDS_PRODUCER: bool = true;
    const STATE: &'static [StateTensor] = &STATE;
    type Config = CrossIterationBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        super::check_part("warmup", config.warmup)?;
        match config.size {
            1..=64 => Ok(()),
            size => Err(format!("size = {size}: expected 1 to 64 older batches")),
        }
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        // A bias is one more column of the weight.
        let columns = |weight: Shape| weight.elem_count() / site.features + usize::from(site.biased);
        let weight = Shape::from((site.features, site.producer.map_or(1, columns)));
        Ok(Arc::new(cross_iteration_batch_norm(&weight, *config, site.vb)?))
    }
}
