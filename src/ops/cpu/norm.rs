//! Moments, linear maps of channels and their gradients, plane by plane.

use super::{Real, for_each_plane, like, map, output, read, read2, values, with_real};
use crate::ops::check::Channels;
use crate::ops::{ChannelMap, ChannelMapGradient, Granularity, Moments, Sums};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Device, Layout, Result, Shape, Tensor, WithDType};

impl Channels {
    /// The shape of a statistic.
    fn shape(&self, per: Granularity) -> Vec<usize> {
        match per {
            Granularity::Channel => vec![self.channels],
            Granularity::Image => vec![self.batch, self.channels],
        }
    }

    /// Values that a statistic is taken over.
    fn count(&self, per: Granularity) -> f64 {
        match per {
            Granularity::Channel => (self.batch * self.plane) as f64,
            Granularity::Image => self.plane as f64,
        }
    }

    /// Sum over the planes, given as ranges, that statistic `i` is taken over.
    fn sum(&self, per: Granularity, i: usize, f: impl Fn(std::ops::Range<usize>) -> f64) -> f64 {
        let plane = |p: usize| f(p * self.plane..(p + 1) * self.plane);
        match per {
            Granularity::Channel => (0..self.batch).map(|n| plane(n * self.channels + i)).sum(),
            Granularity::Image => plane(i),
        }
    }
}

pub(in crate::ops) fn moments(x: &Tensor, sizes: Channels, per: Granularity) -> Result<Moments> {
    let (x, shape) = (x.contiguous()?, sizes.shape(per));
    with_real!(x, T => {
        let (mean, var): (Vec<T>, Vec<T>) = read(&x, |x: &[T]| {
            let moments = map(shape.iter().product(), x.len(), |i| {
                let mean = sizes.sum(per, i, |plane| sum(&x[plane], |v: f64| v)) / sizes.count(per);
                let squares = sizes.sum(per, i, |plane| sum(&x[plane], |v: f64| (v - mean) * (v - mean)));
                (T::from_f64(mean), T::from_f64(squares / sizes.count(per)))
            });
            moments.into_iter().unzip()
        })?;
        let statistic = |values| Tensor::from_vec(values, &shape[..], &Device::Cpu);
        Ok(Moments { mean: statistic(mean)?, var: statistic(var)? })
    })
}

pub(in crate::ops) fn channel_map(x: &Tensor, sizes: Channels, by: &ChannelMap) -> Result<Tensor> {
    let x = x.contiguous()?;
    with_real!(x, T => like(&x, read(&x, |x: &[T]| mapped(x, sizes, by))??))
}

/// [`channel_map`] of the values that a custom operation is given.
pub(in crate::ops) fn channel_map_storage(
    x: &CpuStorage,
    layout: &Layout,
    by: &ChannelMap,
) -> Result<(CpuStorage, Shape)> {
    let sizes = Channels::of("normalize", layout.dims())?;
    with_real!(x, T => output(mapped(values::<T>(x, layout)?, sizes, by)?, layout.shape()))
}

fn mapped<T: Real>(x: &[T], sizes: Channels, by: &ChannelMap) -> Result<Vec<T>> {
    let [mean, slope, shift] = [&by.mean, &by.slope, &by.shift].map(PerPlane::<T>::new);
    let (mean, slope, shift) = (mean?, slope?, shift?);
    let mut y = vec![T::zero(); x.len()];
    for_each_plane(&mut y, sizes.plane, |i, y| {
        let (mean, slope, shift) = (mean.of(i), slope.of(i), shift.of(i));
        y.iter_mut().zip(&x[i * sizes.plane..]).for_each(|(y, &x)| *y = slope * (x - mean) + shift);
    });
    Ok(y)
}

pub(in crate::ops) fn gradient_sums(
    x: &Tensor,
    g: &Tensor,
    sizes: Channels,
    mean: &Tensor,
    per: Granularity,
) -> Result<Sums> {
    let (x, g, shape) = (x.contiguous()?, g.contiguous()?, sizes.shape(per));
    with_real!(x, T => {
        let mean = PerPlane::<T>::new(mean)?;
        let (total, along): (Vec<T>, Vec<T>) = read2(&x, &g, |x: &[T], g: &[T]| {
            let sums = map(shape.iter().product(), x.len(), |i| {
                let total = sizes.sum(per, i, |plane| sum(&g[plane], |g| g));
                let along = sizes.sum(per, i, |plane| {
                    let mean = mean.of(plane.start / sizes.plane).to_f64();
                    sum2(&g[plane.clone()], &x[plane], |g, x| g * (x - mean))
                });
                (T::from_f64(total), T::from_f64(along))
            });
            sums.into_iter().unzip()
        })?;
        let statistic = |values| Tensor::from_vec(values, &shape[..], &Device::Cpu);
        Ok(Sums { g: statistic(total)?, gx: statistic(along)? })
    })
}

pub(in crate::ops) fn channel_map_gradient(
    x: &Tensor,
    g: &Tensor,
    sizes: Channels,
    by: &ChannelMapGradient,
) -> Result<Tensor> {
    let (x, g) = (x.contiguous()?, g.contiguous()?);
    with_real!(x, T => {
        let [a, b, center, d] = [&by.a, &by.b, &by.center, &by.d].map(PerPlane::<T>::new);
        let (a, b, center, d) = (a?, b?, center?, d?);
        let dx = read2(&x, &g, |x: &[T], g: &[T]| {
            let mut dx = vec![T::from_f64(0.0); x.len()];
            for_each_plane(&mut dx, sizes.plane, |i, dx| {
                let (a, b, center, d) = (a.of(i), b.of(i), center.of(i), d.of(i));
                let operands = x[i * sizes.plane..].iter().zip(&g[i * sizes.plane..]);
                dx.iter_mut().zip(operands).for_each(|(dx, (&x, &g))| *dx = a * g + b * (x - center) + d);
            });
            dx
        })?;
        like(&x, dx)
    })
}

/// A coefficient, (C) or (N,C), indexed by plane.
struct PerPlane<T>(Vec<T>);

impl<T: Real> PerPlane<T> {
    fn new(coefficient: &Tensor) -> Result<Self> {
        Ok(Self(coefficient.flatten_all()?.to_vec1()?))
    }

    fn of(&self, plane: usize) -> T {
        self.0[plane % self.0.len()]
    }
}

/// Independent partial sums: enough to keep the processor's adders busy, and a fixed order.
const LANES: usize = 8;

/// Σ f(v) in f64.
fn sum<T: Real>(values: &[T], f: impl Fn(f64) -> f64) -> f64 {
    sum2(values, values, |v, _| f(v))
}

/// Σ f(a, b) in f64 over two slices of one length.
pub(super) fn sum2<T: Real>(a: &[T], b: &[T], f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a.remainder().iter().zip(b.remainder()).map(|(a, b)| f(a.to_f64(), b.to_f64())).sum::<f64>();
    for (a, b) in a.zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(a.to_f64(), b.to_f64());
        }
    }
    lanes.iter().sum::<f64>() + rest
}
