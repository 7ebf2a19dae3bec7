//! Moving Average Batch Normalization (Yan et al., ICLR 2020, arXiv 2001.06838).
//!
//! Training: y = gamma r z + beta with z = x/s, s = sqrt(chi + eps); chi the plain mean of E[x²] over as many of the newest
//! batches as hold `samples` images; r = sqrt((chi + eps)/(m + eps)) within [1/5, 5] and constant, m the running average
//! m += a (chi - m). No mean is subtracted: the weights before the layer are centred instead ([`WeightForm::Centred`]).
//! Remembers: E[x²] and the gradient's Psi_B = mean(gamma r g z) of the newest batches; m as `running_var` beside a
//! `running_mean` of 0.
//! Gradient: dx = (gamma r g - z Psi)/s, Psi the plain mean of Psi_B over the same batches; chi, r and Psi are constants.
//! Starts with the batch's own chi and Psi (for `warmup` of the training, and until the memory is full) and r = 1 (for
//! `uncorrected` of it); the original counts 100 and 1000 steps of very long trainings.
//! Double-Forward: the batch's E[x²] is replaced, in the memory and through chi in m; chi pools the batches it pooled in
//! training. Psi is not refreshed, which would take a second backward pass.
//! Inference: gamma x/sqrt(m + eps) + beta. One value per channel (n = 1): defined, E[x²] needs no second value.

use std::sync::Arc;

use candle_core::{Error, Result, Tensor, Var};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::length::{Extent, Length};
use super::observed::Observation;
use super::registry::{Family, Site};
use super::ring::Ring;
use super::running::{Blend, RunningAverage};
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Call, Coefficients, Gradient, Input, Moments, Norm, Pass, WeightForm, module_t};
use crate::ops::{self, ChannelMap};

/// Parameters of [`MovingAverageBatchNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MovingAverageBatchNormConfig {
    /// Number of images in the remembered batches together.
    pub samples: usize,
    /// Weight a of the newest chi in the running average.
    pub momentum: f64,
    /// Fraction of the training that uses the batch's own statistics.
    pub warmup: f64,
    /// Fraction of the training that has r = 1.
    pub uncorrected: f64,
    /// Added to E\[x²\].
    pub eps: f64,
}

impl Default for MovingAverageBatchNormConfig {
    fn default() -> Self {
        Self { samples: 32, momentum: 0.02, warmup: 0.005, uncorrected: 0.05, eps: 1e-5 }
    }
}

/// Moving Average Batch Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct MovingAverageBatchNorm {
    affine: Affine,
    config: MovingAverageBatchNormConfig,
    squares: Squares,
    running: RunningAverage,
    observed: Observation,
}

/// E[x²] and Psi_B of the newest batches, (capacity, C) each; -1 marks an empty slot of the first.
#[derive(Debug, Clone)]
struct Squares {
    square: Ring<1>,
    psi: Var,
    length: Length,
}

const SQUARES: [StateTensor; 2] =
    [StateTensor::training("memory_square", -1.0), StateTensor::training("memory_psi", 0.0)];

/// A [`MovingAverageBatchNorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var` and the
/// training state from `vb`.
///
/// # Errors
/// Parameters out of range.
pub fn moving_average_batch_norm(
    num_features: usize,
    config: MovingAverageBatchNormConfig,
    vb: VarBuilder,
) -> Result<MovingAverageBatchNorm> {
    MovingAverageBatchNorm::check(&config).map_err(candle_core::Error::Msg)?;
    let shape = (config.samples, num_features);
    let squares = Squares {
        square: Ring::new([SQUARES[0]], [shape.into()], &vb)?,
        psi: SQUARES[1].create(shape, &vb)?,
        length: Length::images(config.samples, 0, 1.0),
    };
    Ok(MovingAverageBatchNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        running: RunningAverage::new(RUNNING, num_features, Blend::Biased, &vb)?,
        squares,
        config,
        observed: Observation::default(),
    })
}

impl Squares {
    /// chi: the mean of E\[x²\] over the newest batches, with the batch's `own` as the pass requires; `own` alone while there
    /// are too few.
    fn chi(&self, own: &Tensor, extent: Extent, call: Call, layer: &str) -> Result<Tensor> {
        let (batches, row) = (self.length.of(extent), [own.clone()]);
        let age = match call.pass {
            Pass::Refresh { age } => {
                self.square.replace(age, &row, layer)?;
                age
            }
            Pass::Train => {
                self.square.push(&row, batches + call.progress.parts - 1)?;
                0
            }
            _ => 0,
        };
        if self.square.require(age, layer)? < age + batches || batches == 1 {
            return Ok(own.clone());
        }
        let [squares] = match call.pass {
            Pass::Probe => {
                let [older] = self.square.slots(1, batches - 1)?;
                [Tensor::cat(&[own.unsqueeze(0)?, older], 0)?]
            }
            _ => self.square.slots(age, batches)?,
        };
        ops::weighted_rows(&squares, &self.length.weights(batches, extent))
    }

    /// Psi, pooled like chi; remembers the batch's `own`.
    fn psi(&self, own: &Tensor, extent: Extent, alone: bool) -> Result<Tensor> {
        let batches = self.length.of(extent);
        ops::push_row(&self.psi, own, batches, -1.0)?;
        if alone || self.square.filled()? < batches {
            return Ok(own.clone());
        }
        ops::weighted_rows(&self.psi.as_detached_tensor(), &self.length.weights(batches, extent))
    }
}

impl MovingAverageBatchNorm {
    /// The map for E[x²] = `chi` and r, and 1/s.
    fn map(&self, chi: &Tensor, r: &Tensor) -> Result<(ChannelMap, Tensor)> {
        let scale = self.affine.scale(chi)?;
        let slope = ((&self.affine.gamma() * &scale)? * r)?;
        Ok((ChannelMap { mean: chi.zeros_like()?, slope, shift: self.affine.beta() }, scale))
    }

    /// The map with the gradient dx = (gamma r g - z Psi)/s; `pool` turns Psi_B into Psi.
    fn coefficients_for(
        &self,
        chi: &Tensor,
        r: Tensor,
        count: usize,
        pool: impl Fn(Tensor) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Coefficients> {
        let (map, scale) = self.map(chi, &r)?;
        let slope = map.slope.clone();
        Ok(Coefficients::new(map, move |sums| {
            let psi = pool((&slope * &sums.gx)?.affine(1.0 / count as f64, 0.0)?)?;
            let zero = slope.zeros_like()?;
            let along = ((&sums.gx * &scale)? * &r)?;
            let b = (scale.sqr()? * psi)?.neg()?;
            Ok(Gradient { b, center: zero.clone(), d: zero, parameters: vec![along, sums.g.clone()] })
        }))
    }
}

impl Norm for MovingAverageBatchNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let running = self.running.now.get();
        let one = running.var.ones_like()?;
        let Some(batch) = &input.moments else {
            return self.coefficients_for(&running.var, one, 1, |psi| psi.zeros_like());
        };
        let (_, own) = batch.raw()?;
        let (extent, count, call, layer) = (input.extent(), input.count(), input.call, self.affine.layer());
        let square = |of: &Tensor| Ok::<_, Error>(Moments { mean: of.zeros_like()?, var: of.clone() });
        if call.pass == Pass::Batch {
            self.observed.set(batch, &square(&own)?, count);
            return self.coefficients_for(&own, one, count, Ok);
        }
        let (part, pooled) = (call.progress.part(), self.squares.chi(&own, extent, call, layer)?);
        let alone = part < self.config.warmup;
        let chi = if alone { own } else { pooled };
        let taken = self.running.take(&square(&chi)?, count, self.config.momentum, call, layer)?;
        let r = match taken.filter(|_| part >= self.config.uncorrected) {
            None => one,
            Some(running) => (self.affine.scale(&running.before.var)? / self.affine.scale(&chi)?)?.clamp(0.2, 5.0)?,
        };
        // The mean square whose root divides as r/sqrt(chi + eps) multiplies.
        let used = (((&chi + self.config.eps)? / r.sqr()?)? - self.config.eps)?;
        self.observed.set(batch, &square(&used)?, count);
        let squares = self.squares.clone();
        self.coefficients_for(&chi, r, count, move |psi| squares.psi(&psi, extent, alone))
    }

    fn training_rule(&self) -> &'static str {
        "memory"
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::average(&self.running, &self.observed))
    }

    fn inference_form(&self, moments: &Moments) -> Result<Moments> {
        let (_, square) = moments.raw()?;
        Ok(Moments { mean: square.zeros_like()?, var: square })
    }
}

module_t!(MovingAverageBatchNorm);

impl Family for MovingAverageBatchNorm {
    const NAME: &'static str = "mabn";
    const ABOUT: &'static str =
        "Moving Average Batch Normalization: E[x²] and one backward mean pooled, weights centred";
    const REFRESHES: bool = true;
    const WEIGHTS: WeightForm = WeightForm::Centred;
    const STATE: &'static [StateTensor] = &[RUNNING[0], RUNNING[1], SQUARES[0], SQUARES[1]];
    type Config = MovingAverageBatchNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        super::check_momentum(config.momentum)?;
        if config.samples == 0 || config.samples > 4096 {
            return Err(format!("samples = {}: expected 1 to 4096 images", config.samples));
        }
        super::check_part("warmup", config.warmup)?;
        super::check_part("uncorrected", config.uncorrected)
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(moving_average_batch_norm(site.features, *config, site.vb)?))
    }
}
