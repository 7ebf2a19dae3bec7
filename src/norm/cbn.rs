//! Cross-Iteration Batch Normalization (Yao et al., CVPR 2021, arXiv 2002.05712).
//!
//! Training: y = gamma (x - mu)/sqrt(v + eps) + beta with mu = mean of mu_i', v = mean of q_i' less mu², over the current batch
//! and `size` older ones, whose mean mu_i and mean square q_i are moved to the present weights W of the producing
//! convolution or linear map by a Taylor step: mu_i' = mu_i + <dmu_i/dW, W - W_i>, q_i' likewise. Channel by channel, entries
//! with q_i' < mu_i'² are left out.
//! Remembers: mu_i, q_i, their derivatives and W_i; running averages of the batch's mean and unbiased variance.
//! Gradient: older entries are constants, so BN's projection terms are scaled by 1/(entries that count).
//! Begins as BN, for `warmup` of the training. (The original adds eps to sqrt(v).)
//! Inference: the running averages. One value per channel (n = 1): refused, as in BN.

use std::sync::Arc;

use candle_core::{bail, Result, Shape, Tensor, Var};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::{Blend, RunningAverage};
use super::state::{StateTensor, RUNNING};
use super::{module_t, Affine, Coefficients, Input, Moments, Norm, Observed, Pass, Producer, Projection};
use crate::ops;

/// Parameters of [`CrossIterationBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossIterationBatchNormConfig {
    /// Older batches pooled with the current one.
    pub size: usize,
    /// Part of the training that is plain BN.
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
    history: History,
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

/// The older batches, newest first: for each its entry, and 1 where the slot is filled.
#[derive(Debug, Clone)]
struct History {
    /// (size,C) twice, (size,P), (size,C,P) twice; P the length of a row of the weight.
    slots: [Var; 5],
    filled: Var,
}

/// One batch: mean and mean square (C), their derivatives (P) and (C,P), the weight they belong to (C,P).
type Entry = [Tensor; 5];

impl History {
    fn new(weight: &Shape, size: usize, vb: &VarBuilder) -> Result<Self> {
        let c = weight.dims()[0];
        let p = weight.elem_count() / c;
        let shapes = [vec![size, c], vec![size, c], vec![size, p], vec![size, c, p], vec![size, c, p]];
        let create = |i: usize| HISTORY[i].create(&shapes[i][..], vb);
        Ok(Self {
            slots: [create(0)?, create(1)?, create(2)?, create(3)?, create(4)?],
            filled: HISTORY[5].create(size, vb)?,
        })
    }

    fn push(&self, entry: &Entry) -> Result<()> {
        for (memory, row) in self.slots.iter().zip(entry) {
            ops::push_row(memory, row, usize::MAX, 0.0)?;
        }
        let one = self.filled.as_detached_tensor().narrow(0, 0, 1)?.ones_like()?;
        ops::push_row(&self.filled, &one, usize::MAX, 0.0)
    }

    /// Means and mean squares (k,C) of the older batches, moved to that weight.
    fn moved(&self, weight: &Tensor) -> Result<(Tensor, Tensor)> {
        let k = ops::filled_rows(&self.filled.as_detached_tensor(), 0.0)?;
        let rows = |i: usize| self.slots[i].as_detached_tensor().narrow(0, 0, k);
        let (means, squares) = (rows(0)?, rows(1)?);
        if k == 0 {
            return Ok((means, squares));
        }
        let apart = rows(4)?.broadcast_sub(weight)?.neg()?;
        let along_means = apart.broadcast_mul(&rows(2)?.unsqueeze(1)?)?.sum(2)?;
        Ok(((means + along_means)?, (squares + (apart * rows(3)?)?.sum(2)?)?))
    }
}

/// A [`CrossIterationBatchNorm`] behind a weight (out, in, kh, kw) or (out, in): `weight`, `bias`, `running_mean`,
/// `running_var` and the state of training from `vb`. It is to be called with a [`Producer`] in training.
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
        history: History::new(weight, config.size, &vb)?,
        running: RunningAverage::new(RUNNING, features, Blend::Unbiased, &vb)?,
        config,
        observed: Observation::default(),
    })
}

impl CrossIterationBatchNorm {
    /// The pooled statistics and, per channel, the weight of the current batch among them; remembers the batch.
    fn pool(&self, batch: &Moments, producer: &dyn Producer) -> Result<(Moments, Tensor)> {
        let weight = producer.weight()?.flatten_from(1)?;
        let (own, square) = batch.raw()?;
        let (means, squares) = self.history.moved(&weight)?;
        let slope = producer.patch_correlation()?.affine(2.0, 0.0)?;
        self.history.push(&[own.clone(), square.clone(), producer.patch_mean()?, slope, weight])?;
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

    fn observes(&self, pass: Pass) -> bool {
        pass != Pass::Eval
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(batch) = &input.moments else { return self.affine.constant(&self.running.now.get()) };
        let count = input.count();
        self.affine.refuse_one_value(input.shape, count)?;
        let (mut used, mut share) = (batch.clone(), batch.var.ones_like()?);
        if input.call.pass == Pass::Train {
            self.running.update(batch, count, self.config.momentum, 1)?;
            if input.call.progress.part() >= self.config.warmup {
                let Some(producer) = input.producer else {
                    bail!(
                        "{}: cross-iteration normalization needs the map before it (`forward_at`)",
                        self.affine.layer()
                    );
                };
                (used, share) = self.pool(batch, producer)?;
            }
        }
        self.observed.set(batch, &used, count);
        let center = used.mean.clone();
        self.affine.normalized(&used, count, move |mean_g, mean_gx| {
            let (mean_g, mean_gx) = ((mean_g * &share)?, (mean_gx * &share)?);
            Ok(Some(Projection { mean_g, mean_gx, center: center.clone() }))
        })
    }

    fn rule(&self) -> &'static str {
        "ema"
    }

    fn training_rule(&self) -> &'static str {
        "memory"
    }

    fn inference(&self) -> Option<Moments> {
        Some(self.running.now.get())
    }

    fn set_inference(&self, moments: &Moments) -> Result<()> {
        self.running.now.set(moments)
    }

    fn ema(&self) -> Option<Moments> {
        Some(self.running.now.get())
    }

    fn observed(&self) -> Option<Observed> {
        self.observed.get()
    }
}

module_t!(CrossIterationBatchNorm);

const STATE: [StateTensor; 8] =
    [RUNNING[0], RUNNING[1], HISTORY[0], HISTORY[1], HISTORY[2], HISTORY[3], HISTORY[4], HISTORY[5]];

impl Family for CrossIterationBatchNorm {
    const NAME: &'static str = "cbn";
    const ABOUT: &'static str = "Cross-Iteration Batch Normalization: older statistics moved to the present weights";
    const REFRESHES: bool = false;
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
        // A bias is one weight more.
        let columns = |weight: Shape| weight.elem_count() / site.features + usize::from(site.biased);
        let weight = Shape::from((site.features, site.producer.map_or(1, columns)));
        Ok(Arc::new(cross_iteration_batch_norm(&weight, *config, site.vb)?))
    }
}
