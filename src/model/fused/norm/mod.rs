//! Normalization of maps with what follows it, whatever the statistics are: one mean and scale per channel, or per sample
//! and group of channels.

mod moments;
mod passes;
mod pooled;

use candle_core::{Device, Result, Shape, Tensor};

use crate::kernel::norm::Coefficients;
use crate::kernel::{with_values, Float};
use crate::norm::{self, Form, Pass, Source, Used};

use super::map::Sizes;

pub use moments::{observe, PieceMoments};

/// The coefficients of a normalization: (C) for the whole batch or (N·C), and what its gradient needs.
pub struct Applied<T> {
    mean: Vec<T>,
    slope: Vec<T>,
    shift: Vec<T>,
    /// Mean around which the variance moves.
    center: Vec<T>,
    /// 1/s.
    scale: Vec<f64>,
    gamma: Vec<f64>,
    flow: Flow,
}

/// How the gradient flows through the statistics.
#[derive(Clone, Copy)]
enum Flow {
    /// Through the batch's, with factor c.
    Batch(f64),
    /// Through each sample's own, over that many groups of channels.
    Groups(usize),
}

fn floats<T: Float>(tensor: &Tensor) -> Result<Vec<f64>> {
    with_values(&tensor.contiguous()?, |v: &[T]| v.iter().map(|v| v.to_f64()).collect())
}

fn rounded<T: Float>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::from_f64(v)).collect()
}

/// The coefficients for a map with those moments, which the normalizer remembers as the pass says.
///
/// `shape` is the input's as the normalizer knows it, (N,C,H,W) or (N,C).
pub fn apply<T: Float>(form: &Form, seen: &PieceMoments, shape: &Shape, pass: Pass) -> Result<Applied<T>> {
    let c = seen.sizes.c;
    let (gamma, beta) = (floats::<T>(form.gamma)?, floats::<T>(form.beta)?);
    let (mean, var, center, flow) = match form.source {
        Source::Batch(rule) => {
            let batch = rule.observes(pass).then(|| {
                let batch = seen.of(0..seen.sizes.n);
                let tensor = |values: &[f64]| Tensor::from_vec(rounded::<T>(values), c, &Device::Cpu);
                Ok::<_, candle_core::Error>(norm::Moments { mean: tensor(&batch.mean)?, var: tensor(&batch.var())? })
            });
            let Used { moments, center, factor } = rule.statistics(batch.transpose()?, shape, pass)?;
            (floats::<T>(&moments.mean)?, floats::<T>(&moments.var)?, floats::<T>(&center)?, Flow::Batch(factor))
        }
        Source::Sample(rule) => {
            let groups = rule.groups(shape)?;
            let (mut mean, mut var) = (vec![], vec![]);
            for n in 0..seen.sizes.n {
                let picture = seen.of(n..n + 1);
                for group in 0..groups {
                    let channels = group * (c / groups)..(group + 1) * (c / groups);
                    let (group_mean, group_var) = picture.together(channels);
                    mean.extend(std::iter::repeat_n(group_mean, c / groups));
                    var.extend(std::iter::repeat_n(group_var, c / groups));
                }
            }
            (mean.clone(), var, mean, Flow::Groups(groups))
        }
    };
    let scale: Vec<f64> = var.iter().map(|var| 1.0 / (var + form.eps).sqrt()).collect();
    let slope: Vec<f64> = scale.iter().zip(gamma.iter().cycle()).map(|(scale, gamma)| scale * gamma).collect();
    Ok(Applied {
        mean: rounded(&mean),
        slope: rounded(&slope),
        shift: rounded(&beta),
        center: rounded(&center),
        scale,
        gamma,
        flow,
    })
}

impl<T: Float> Applied<T> {
    /// The coefficients for picture `n`.
    fn coefficients(&self, n: usize) -> Coefficients<'_, T> {
        let own = self.own(n);
        Coefficients { mean: &self.mean[own.clone()], slope: &self.slope[own], shift: &self.shift }
    }

    /// Where picture `n`'s coefficients lie.
    fn own(&self, n: usize) -> std::ops::Range<usize> {
        let c = self.shift.len();
        match self.flow {
            Flow::Batch(_) => 0..c,
            Flow::Groups(_) => n * c..(n + 1) * c,
        }
    }

    /// The second pass's coefficients and the parameters' gradients, from each piece's Σ g and Σ g (z - mean).
    fn flows(&self, sums: &PieceMoments) -> Flows<T> {
        let Sizes { n: pictures, c: channels, .. } = sums.sizes;
        let values = (pictures * sums.sizes.pixels()) as f64;
        let pieces = sums.sums.len() / (2 * channels) / pictures;
        // Per picture and channel.
        let sum = |n: usize, c: usize| -> f64 {
            (n * pieces..(n + 1) * pieces).map(|piece| sums.sums[piece * 2 * channels + c]).sum()
        };
        let (mut gamma, mut beta) = (vec![0.0; channels], vec![0.0; channels]);
        let (mut b, mut d) = (vec![0.0; self.scale.len()], vec![0.0; self.scale.len()]);
        for n in 0..pictures {
            let scale = &self.scale[self.own(n)];
            for c in 0..channels {
                beta[c] += sum(n, c);
                gamma[c] += sum(n, channels + c) * scale[c];
            }
            if let Flow::Groups(groups) = self.flow {
                let size = channels / groups;
                for first in (0..channels).step_by(size) {
                    let group = first..first + size;
                    let total: f64 = group.clone().map(|c| self.gamma[c] * sum(n, c)).sum();
                    let along: f64 = group.clone().map(|c| self.gamma[c] * sum(n, channels + c) * scale[c]).sum();
                    let share = scale[first] / (size * sums.sizes.pixels()) as f64;
                    b[n * channels..][group.clone()].fill(-share * scale[first] * along);
                    d[n * channels..][group].fill(-share * total);
                }
            }
        }
        if let Flow::Batch(factor) = self.flow {
            for c in 0..channels {
                let share = self.gamma[c] * self.scale[c] * factor / values;
                b[c] = -share * self.scale[c] * gamma[c];
                d[c] = -share * beta[c];
            }
        }
        Flows { b: rounded(&b), d: rounded(&d), gamma: rounded(&gamma), beta: rounded(&beta) }
    }
}

/// See [`Applied::flows`].
struct Flows<T> {
    b: Vec<T>,
    d: Vec<T>,
    gamma: Vec<T>,
    beta: Vec<T>,
}
