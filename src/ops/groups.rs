//! Groups of images and channels that are normalized together: their statistics, from those of each image and channel, and
//! what the gradient subtracts.

use candle_core::{Result, Tensor, bail};

use super::{Moments, Sums, from_host, own_kernel, plain, to_host};

/// How the images and channels of (N,C) fall into groups: runs of images, each cut into runs of channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Images in each run.
    pub(super) images: Vec<usize>,
    /// Channels per group.
    pub(super) channels: usize,
}

impl Groups {
    /// Groups of `images` images and `channels` channels in a batch of `batch` images. A remainder of images is a smaller
    /// group; a single image left over joins the group before it.
    pub fn new(batch: usize, images: usize, channels: usize) -> Self {
        let images = images.clamp(1, batch.max(1));
        let (full, rest) = (batch / images, batch % images);
        let mut runs = vec![images; full];
        match (rest, runs.last_mut()) {
            (0, _) => {}
            (1, Some(last)) => *last += 1,
            _ => runs.push(rest),
        }
        Self { images: runs, channels }
    }

    /// Images and channels in the smallest group.
    pub fn smallest(&self) -> usize {
        self.images.iter().min().map_or(0, |images| images * self.channels)
    }

    /// Requires the groups to make up (N,C).
    fn check(&self, of: &Tensor) -> Result<(usize, usize)> {
        let (n, c) = of.dims2()?;
        if self.images.iter().sum::<usize>() != n || self.channels == 0 || c % self.channels != 0 {
            bail!("groups: runs of {:?} images and {} channels do not make up ({n}, {c})", self.images, self.channels);
        }
        Ok((n, c))
    }

    /// Replaces numbers (N,C) by their averages over groups.
    fn average(&self, features: usize, values: &mut [f64]) {
        let mut rest = values;
        for &images in &self.images {
            let (run, others) = rest.split_at_mut(images * features);
            for first in (0..features).step_by(self.channels) {
                let group = first..first + self.channels;
                let total: f64 = run.chunks_exact(features).map(|image| sum(&image[group.clone()])).sum();
                let mean = total / (images * self.channels) as f64;
                run.chunks_exact_mut(features).for_each(|image| image[group.clone()].fill(mean));
            }
            rest = others;
        }
    }

    /// Replaces means and variances (N,C) by those of the groups (law of total variance).
    pub fn moments(&self, features: usize, mean: &mut [f64], var: &mut [f64]) {
        let own = mean.to_vec();
        self.average(features, mean);
        for (var, (own, mean)) in var.iter_mut().zip(own.iter().zip(&*mean)) {
            *var += (own - mean) * (own - mean);
        }
        self.average(features, var);
    }

    /// Turns Σ ĝ (`total`) and Σ ĝ x̂ (`along`) of each image and channel, ĝ = gamma g, into d and b of
    /// dx = ĝ/s + b (x - mean) + d, which subtracts the group's means of ĝ and of ĝ x̂.
    pub fn project(&self, features: usize, pixels: f64, scale: &[f64], total: &mut [f64], along: &mut [f64]) {
        self.average(features, total);
        self.average(features, along);
        for (i, scale) in scale.iter().enumerate() {
            total[i] *= -scale / pixels;
            along[i] *= -scale * scale / pixels;
        }
    }
}

/// The sum in several independent parts, which the processor can add at once.
fn sum(values: &[f64]) -> f64 {
    let (mut parts, whole) = ([0.0; 8], values.chunks_exact(8));
    let rest: f64 = whole.remainder().iter().sum();
    whole.for_each(|values| parts.iter_mut().zip(values).for_each(|(part, v)| *part += v));
    parts.iter().sum::<f64>() + rest
}

/// Mean and biased variance of the groups, at each of their images and channels, from those of each by itself, (N,C).
pub fn group_moments(own: &Moments, groups: &Groups) -> Result<Moments> {
    let (n, c) = groups.check(&own.mean)?;
    if !own_kernel(&own.mean) {
        return plain::group_moments(own, groups);
    }
    let [mut mean, mut var] = own.to_host()?;
    groups.moments(c, &mut mean, &mut var);
    Ok(Moments { mean: from_host(mean, (n, c), &own.mean)?, var: from_host(var, (n, c), &own.mean)? })
}

/// b and d of dx = slope g + b (x - mean) + d for y = slope (x - mean) + shift by the statistics of groups, with
/// slope = gamma `scale`, `scale` = 1/s and `pixels` positions; (N,C) all.
pub fn group_projection(
    groups: &Groups,
    sums: &Sums,
    slope: &Tensor,
    scale: &Tensor,
    pixels: usize,
) -> Result<(Tensor, Tensor)> {
    let (n, c) = groups.check(slope)?;
    if !own_kernel(slope) {
        return plain::group_projection(groups, sums, slope, scale, pixels);
    }
    let (mut total, mut along) = (to_host(&sums.g)?, to_host(&sums.gx)?);
    let (slopes, scales) = (to_host(slope)?, to_host(scale)?);
    for i in 0..slopes.len() {
        total[i] *= slopes[i] / scales[i];
        along[i] *= slopes[i];
    }
    groups.project(c, pixels as f64, &scales, &mut total, &mut along);
    Ok((from_host(along, (n, c), slope)?, from_host(total, (n, c), slope)?))
}
