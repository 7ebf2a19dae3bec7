//! The operations in terms of candle's own, on every device: what runs where there is no kernel of ours, and what the
//! kernels are tested against. Signatures and meaning are those of the parent module.

use super::{ChannelMap, ChannelMapGradient, Granularity, Groups, Moments, Sums, check};
use candle_core::{Result, Tensor};

/// See [`super::moments`].
pub fn moments(x: &Tensor, per: Granularity) -> Result<Moments> {
    let dims = summed(x, per);
    let mean = x.mean_keepdim(dims.clone())?;
    let var = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(dims)?;
    Ok(Moments { mean: flat(x, mean, per)?, var: flat(x, var, per)? })
}

/// See [`super::channel_map`].
pub fn channel_map(x: &Tensor, by: &ChannelMap) -> Result<Tensor> {
    let [mean, slope, shift] = [&by.mean, &by.slope, &by.shift].map(|t| spread(x, t));
    x.broadcast_sub(&mean?)?.broadcast_mul(&slope?)?.broadcast_add(&shift?)
}

/// [`super::depthwise`] before its bias.
pub fn depthwise(x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
    let (features, k, _) = kernel.dims3()?;
    let size = |axis: usize| x.dims().get(axis).copied().unwrap_or(1);
    let (h, w) = (size(2), size(3));
    let padded = x.reshape((x.dim(0)?, features, h, w))?.pad_with_zeros(2, k / 2, k / 2)?;
    let padded = padded.pad_with_zeros(3, k / 2, k / 2)?;
    let tap = |down: usize, right: usize| {
        let weight = kernel.narrow(1, down, 1)?.narrow(2, right, 1)?.reshape((1, features, 1, 1))?;
        padded.narrow(2, down, h)?.narrow(3, right, w)?.broadcast_mul(&weight)
    };
    let y = (1..k * k).try_fold(tap(0, 0)?, |sum, i| sum + tap(i / k, i % k)?)?;
    y.reshape(x.shape())
}

/// See [`super::gradient_sums`].
pub fn gradient_sums(x: &Tensor, g: &Tensor, mean: &Tensor, per: Granularity) -> Result<Sums> {
    let dims = summed(x, per);
    let along = (x.broadcast_sub(&spread(x, mean)?)? * g)?;
    let sum = |t: &Tensor| flat(x, t.sum_keepdim(dims.clone())?, per);
    Ok(Sums { g: sum(g)?, gx: sum(&along)? })
}

/// See [`super::channel_map_gradient`].
pub fn channel_map_gradient(x: &Tensor, g: &Tensor, by: &ChannelMapGradient) -> Result<Tensor> {
    let [a, b, center, d] = [&by.a, &by.b, &by.center, &by.d].map(|t| spread(x, t));
    let along = x.broadcast_sub(&center?)?.broadcast_mul(&b?)?;
    (g.broadcast_mul(&a?)? + along)?.broadcast_add(&d?)
}

/// See [`super::group_moments`].
pub fn group_moments(own: &Moments, groups: &Groups) -> Result<Moments> {
    let mean = group_means(&own.mean, groups)?;
    let spread = (&own.var + (&own.mean - &mean)?.sqr()?)?;
    Ok(Moments { mean, var: group_means(&spread, groups)? })
}

/// See [`super::group_projection`].
pub fn group_projection(
    groups: &Groups,
    sums: &Sums,
    slope: &Tensor,
    scale: &Tensor,
    pixels: usize,
) -> Result<(Tensor, Tensor)> {
    let share = -1.0 / pixels as f64;
    let along = group_means(&(&sums.gx * slope)?, groups)?.affine(share, 0.0)?;
    let total = group_means(&(&sums.g * (slope / scale)?)?, groups)?.affine(share, 0.0)?;
    Ok(((scale.sqr()? * along)?, (scale * total)?))
}

/// The averages of values (N,C) over groups, at each of their images and channels.
fn group_means(values: &Tensor, groups: &Groups) -> Result<Tensor> {
    let (n, c) = values.dims2()?;
    let shape = (n, c / groups.channels, groups.channels);
    let mut means = values.reshape(shape)?.mean_keepdim(2)?;
    if groups.images.len() < n {
        let mut runs = vec![];
        for &images in &groups.images {
            let first = runs.iter().map(|run: &Tensor| run.dims()[0]).sum();
            let run = means.narrow(0, first, images)?;
            runs.push(run.mean_keepdim(0)?.broadcast_as(run.shape())?);
        }
        means = Tensor::cat(&runs, 0)?;
    }
    means.broadcast_as(shape)?.reshape((n, c))
}

/// See [`super::cross_entropy`].
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    check::cross_entropy(logits, targets, label_smoothing)?;
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(1)?)?;
    let total = shifted.exp()?.sum(1)?.log()?;
    let chosen = shifted.gather(&targets.unsqueeze(1)?.contiguous()?, 1)?.squeeze(1)?;
    let expected = if label_smoothing == 0.0 {
        chosen
    } else {
        ((chosen * (1.0 - label_smoothing))? + (shifted.mean(1)? * label_smoothing)?)?
    };
    (total - expected)?.mean_all()
}

/// The dimensions that a statistic is taken over.
fn summed(x: &Tensor, per: Granularity) -> Vec<usize> {
    (0..x.rank()).filter(|&dim| dim > 1 || (dim == 0 && per == Granularity::Channel)).collect()
}

/// A statistic with its dimensions kept, as (C) or (N,C).
fn flat(x: &Tensor, statistic: Tensor, per: Granularity) -> Result<Tensor> {
    match per {
        Granularity::Channel => statistic.reshape(x.dim(1)?),
        Granularity::Image => statistic.reshape((x.dim(0)?, x.dim(1)?)),
    }
}

/// A coefficient, (C) or (N,C), in a shape that broadcasts against `x`.
pub(super) fn spread(x: &Tensor, coefficient: &Tensor) -> Result<Tensor> {
    let images = if coefficient.rank() == 2 { coefficient.dim(0)? } else { 1 };
    let mut shape = vec![1; x.rank()];
    (shape[0], shape[1]) = (images, x.dim(1)?);
    coefficient.reshape(shape)
}
