//! Online Normalization (Chiley et al., NeurIPS 2019, arXiv 1905.05894), image by image.
//!
//! Training, image t: y = gamma (x - mu)/sqrt(v + eps) + beta with mu and v as they were before it; then, m and s its own mean
//! and biased variance, v = af v + (1 - af) s + af (1 - af) (m - mu)², mu = af mu + (1 - af) m. Last, layer scaling: y divided
//! by the root of its mean square over all channels and positions of the image (plus eps).
//! Remembers: mu and v, and the backward pass's uc and vc.
//! Gradient: ordinary through layer scaling, beta and gamma; mu and v are constants, and a control process replaces what
//! would flow through them: g' = gamma dy - (1 - ab) vc x̂, vc += mean(g' x̂); dx = g'/s - (1 - ab) uc, uc += mean(dx).
//! Inference: mu and v as they stand, layer scaling as in training. One value per channel (n = 1): defined.

mod passage;

use std::sync::Arc;

use candle_core::{Result, Var};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::observed::Observation;
use super::registry::{Family, Site};
use super::running::MomentVars;
use super::state::{RUNNING, StateTensor};
use super::{Affine, BatchStatistics, Coefficients, Gradient, Granularity, Input, Moments, Norm, Pass, module_t};
use crate::ops::{ChannelMap, Sums, from_host, to_host};
use passage::{Control, Passage};

/// What keeps errors in the statistics from growing from layer to layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compensation {
    /// Layer scaling: divides by the root mean square over the image.
    Ls,
    /// Nothing.
    None,
}

/// Parameters of [`OnlineNorm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnlineNormConfig {
    /// af, weight of the old value in the averages, from image to image: 0.999 remembers about 1000 images.
    pub decay: f64,
    /// ab, the same for the control process of the backward pass.
    pub grad_decay: f64,
    /// What keeps errors in the statistics from growing.
    pub compensation: Compensation,
    /// Added to the variance, and to layer scaling's mean square.
    pub eps: f64,
}

impl Default for OnlineNormConfig {
    fn default() -> Self {
        Self { decay: 0.999, grad_decay: 0.99, compensation: Compensation::Ls, eps: 1e-5 }
    }
}

/// Online Normalization of (N,C,H,W) or (N,C).
#[derive(Debug, Clone)]
pub struct OnlineNorm {
    affine: Affine,
    config: OnlineNormConfig,
    running: MomentVars,
    /// uc and vc.
    control: [Var; 2],
    observed: Observation,
}

const CONTROL: [StateTensor; 2] =
    [StateTensor::training("control_mean", 0.0), StateTensor::training("control_cov", 0.0)];

/// An [`OnlineNorm`] for `num_features` channels: `weight`, `bias`, `running_mean`, `running_var` and the training state
/// from `vb`.
///
/// # Errors
/// A tensor that `vb` lacks or has in another shape.
pub fn online_norm(num_features: usize, config: OnlineNormConfig, vb: VarBuilder) -> Result<OnlineNorm> {
    OnlineNorm::check(&config).map_err(candle_core::Error::Msg)?;
    Ok(OnlineNorm {
        affine: Affine::new(num_features, config.eps, &vb)?,
        running: MomentVars::new(RUNNING, num_features, &vb)?,
        control: [CONTROL[0].create(num_features, &vb)?, CONTROL[1].create(num_features, &vb)?],
        config,
        observed: Observation::default(),
    })
}

/// Means and variances, of channels or of each image's channels.
type Pair = [Vec<f64>; 2];

impl OnlineNorm {
    /// Mean and variance for each image and channel, and what they are after the last image.
    fn follow(&self, own: &Pair, from: &Moments) -> Result<(Pair, Pair)> {
        let (af, mut before) = (self.config.decay, [vec![], vec![]]);
        let [mut mean, mut var] = from.to_host()?;
        let features = mean.len();
        for (m, s) in own[0].chunks_exact(features).zip(own[1].chunks_exact(features)) {
            before[0].extend_from_slice(&mean);
            before[1].extend_from_slice(&var);
            for c in 0..features {
                let apart = m[c] - mean[c];
                var[c] = af * var[c] + (1.0 - af) * (s[c] + af * apart * apart);
                mean[c] += (1.0 - af) * apart;
            }
        }
        Ok((before, [mean, var]))
    }

    /// Mean and variance for each image and channel; remembers the images in training.
    fn statistics(&self, own: &Pair, batch: &Moments, pass: Pass) -> Result<Pair> {
        let running = self.running.get();
        if let Pass::Train | Pass::Probe | Pass::Refresh { .. } = pass {
            let (before, [mean, var]) = self.follow(own, &running)?;
            if pass == Pass::Train {
                let tensor = |values, like| from_host(values, self.affine.gamma().shape(), like);
                self.running.set(&Moments { mean: tensor(mean, &running.mean)?, var: tensor(var, &running.var)? })?;
            }
            return Ok(before);
        }
        let constant = if pass == Pass::Batch { batch } else { &running };
        let images = own[0].len() / batch.mean.elem_count();
        Ok(constant.to_host()?.map(|values| values.repeat(images)))
    }
}

impl Norm for OnlineNorm {
    fn affine(&self) -> &Affine {
        &self.affine
    }

    fn granularity(&self) -> Granularity {
        Granularity::Image
    }

    fn observes(&self, pass: Pass) -> bool {
        pass != Pass::Eval || self.config.compensation == Compensation::Ls
    }

    fn coefficients(&self, input: &Input) -> Result<Coefficients> {
        let Some(moments) = &input.moments else { return self.affine.constant(&self.running.get()) };
        if input.call.pass == Pass::Batch {
            self.affine.refuse_one_value(input.shape, input.count())?;
        }
        let (own, batch) = (moments.to_host()?, moments.over_images()?);
        let used = if input.call.pass == Pass::Batch { batch.clone() } else { self.running.get().copy()? };
        self.observed.set(&batch, &used, input.count());
        let [mean, var] = self.statistics(&own, &batch, input.call.pass)?;
        let scale = var.into_iter().map(|v| 1.0 / (v + self.config.eps).sqrt()).collect();
        let (gamma, beta) = (to_host(&self.affine.gamma())?, to_host(&self.affine.beta())?);
        let pixels = (input.count() / input.images()) as f64;
        let mut passage = Passage { pixels, own, mean, scale, gamma, beta, layer: None };
        if self.config.compensation == Compensation::Ls {
            passage.scale_layers(self.config.eps);
        }
        let (slope, shift) = passage.map();
        let (like, control) = (moments.mean.clone(), self.control.clone());
        // Constant statistics need no control process.
        let controls = input.call.pass == Pass::Train;
        let gain = if controls { 1.0 - self.config.grad_decay } else { 0.0 };
        let tensor = move |values: Vec<f64>| from_host(values, like.shape(), &like);
        let mean = tensor(passage.mean.clone())?;
        let map = ChannelMap { mean: mean.clone(), slope: tensor(slope)?, shift: tensor(shift)? };
        Ok(Coefficients::new(map, move |Sums { g, gx }| {
            let [uc, vc] = control.each_ref().map(Var::as_detached_tensor);
            let mut process = Control { mean: to_host(&uc)?, cov: to_host(&vc)?, gain };
            let flow = passage.gradient(&to_host(g)?, &to_host(gx)?, &mut process);
            let channels = |values: Vec<f64>| from_host(values, uc.shape(), &uc);
            if controls {
                control[0].set(&channels(process.mean)?)?;
                control[1].set(&channels(process.cov)?)?;
            }
            let parameters = flow.parameters.into_iter().map(channels).collect::<Result<_>>()?;
            Ok(Gradient { b: tensor(flow.b)?, center: mean.clone(), d: tensor(flow.d)?, parameters })
        }))
    }

    fn training_rule(&self) -> &'static str {
        "ema"
    }

    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        Some(BatchStatistics::unrefreshed(&self.running, &self.observed))
    }

    fn infers_by_map(&self) -> bool {
        self.config.compensation == Compensation::None
    }
}

module_t!(OnlineNorm);

impl Family for OnlineNorm {
    const NAME: &'static str = "online";
    const ABOUT: &'static str = "Online Normalization: image by image, a control process in the backward pass";
    const REFRESHES: bool = false;
    const STATE: &'static [StateTensor] = &[RUNNING[0], RUNNING[1], CONTROL[0], CONTROL[1]];
    type Config = OnlineNormConfig;

    fn check(config: &Self::Config) -> std::result::Result<(), String> {
        super::check_eps(config.eps)?;
        for (key, decay) in [("decay", config.decay), ("grad_decay", config.grad_decay)] {
            if !(0.0..1.0).contains(&decay) {
                return Err(format!("{key} = {decay}: expected 0 to less than 1"));
            }
        }
        Ok(())
    }

    fn build(site: Site, config: &Self::Config) -> Result<Arc<dyn Norm>> {
        Ok(Arc::new(online_norm(site.features, *config, site.vb)?))
    }
}
