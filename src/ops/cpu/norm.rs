//! Moments of channels, and normalization by given statistics with the gradient the parent module defines.

use super::{for_each_plane, like, map, output, read, read2, values, with_real, Real};
use crate::norm::Moments;
use crate::ops::check::{self, Channels};
use crate::ops::Statistics;
use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, WithDType};
use std::marker::PhantomData;

pub(in crate::ops) fn moments(x: &Tensor) -> Result<Moments> {
    let sizes = check::channels("moments", x)?;
    let x = x.detach().contiguous()?;
    with_real!(x, T => {
        let (mean, var): (Vec<T>, Vec<T>) = read(&x, |x: &[T]| {
            let moments = map(sizes.channels, x.len(), |c| {
                let mean = sizes.sum(c, |plane| sum(&x[plane], |v: f64| v)) / sizes.count();
                let var = sizes.sum(c, |plane| sum(&x[plane], |v: f64| (v - mean) * (v - mean))) / sizes.count();
                (T::from_f64(mean), T::from_f64(var))
            });
            moments.into_iter().unzip()
        })?;
        let vector = |values| Tensor::from_vec(values, sizes.channels, &Device::Cpu);
        Ok(Moments { mean: vector(mean)?, var: vector(var)? })
    })
}

pub(in crate::ops) fn normalize(x: &Tensor, gamma: &Tensor, beta: &Tensor, stats: &Statistics) -> Result<Tensor> {
    let sizes = check::normalize(x, gamma, beta, stats)?;
    let list = |t: &Tensor| t.to_dtype(DType::F64)?.to_vec1::<f64>();
    let (mean, center) = (list(&stats.mean)?, list(&stats.center)?);
    let scale = list(&stats.var)?.into_iter().map(|var| 1.0 / (var + stats.eps).sqrt()).collect();
    with_real!(x, T => {
        let op = Normalize::<T> { sizes, mean, center, scale, factor: stats.factor, real: PhantomData };
        x.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)
    })
}

impl Channels {
    /// Values per channel.
    fn count(&self) -> f64 {
        (self.batch * self.plane) as f64
    }

    /// Sum over the planes of channel `c`, given as ranges.
    fn sum(&self, c: usize, f: impl Fn(std::ops::Range<usize>) -> f64) -> f64 {
        (0..self.batch).map(|n| (n * self.channels + c) * self.plane).map(|start| f(start..start + self.plane)).sum()
    }
}

/// Independent partial sums: enough to keep the processor's adders busy, and a fixed order.
const LANES: usize = 8;

/// Σ f(v) in f64.
pub(super) fn sum<T: Real>(values: &[T], f: impl Fn(f64) -> f64) -> f64 {
    sum2(values, values, |v, _| f(v))
}

/// Σ f(a, b) in f64 over two slices of one length.
fn sum2<T: Real>(a: &[T], b: &[T], f: impl Fn(f64, f64) -> f64) -> f64 {
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

struct Normalize<T> {
    sizes: Channels,
    mean: Vec<f64>,
    center: Vec<f64>,
    /// 1/s.
    scale: Vec<f64>,
    /// c.
    factor: f64,
    real: PhantomData<T>,
}

impl<T: Real> Normalize<T> {
    /// For each channel, sum(g) and sum(g x̂).
    fn sums(&self, x: &[T], g: &[T]) -> (Vec<f64>, Vec<f64>) {
        let sums = map(self.sizes.channels, x.len(), |c| {
            let (mean, scale) = (self.mean[c], self.scale[c]);
            let total = self.sizes.sum(c, |plane| sum(&g[plane], |g| g));
            let along = self.sizes.sum(c, |plane| sum2(&g[plane.clone()], &x[plane], |g, x| g * (x - mean)));
            (total, along * scale)
        });
        sums.into_iter().unzip()
    }

    /// gamma/s [ g - c mean(g) - c ((x - center)/s) mean(g x̂) ], as a g + b (x - center) + d with per-channel a, b, d.
    fn dx(&self, x: &[T], g: &[T], gamma: &[T], total: &[f64], along: &[f64]) -> Vec<T> {
        let share = self.factor / self.sizes.count();
        let coefficients = (0..self.sizes.channels).map(|c| {
            let a = gamma[c].to_f64() * self.scale[c];
            [a, -a * share * along[c] * self.scale[c], -a * share * total[c], self.center[c]].map(T::from_f64)
        });
        let coefficients: Vec<[T; 4]> = coefficients.collect();
        let plane = self.sizes.plane;
        let mut dx = vec![T::zero(); x.len()];
        for_each_plane(&mut dx, plane, |i, dx| {
            let [a, b, d, center] = coefficients[i % self.sizes.channels];
            let (x, g) = (&x[i * plane..], &g[i * plane..]);
            for ((dx, &x), &g) in dx.iter_mut().zip(x).zip(g) {
                *dx = a * g + b * (x - center) + d;
            }
        });
        dx
    }
}

impl<T: Real> CustomOp3 for Normalize<T> {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = values::<T>(x, layout)?;
        let (gamma, beta) = (values::<T>(gamma, gamma_layout)?, values::<T>(beta, beta_layout)?);
        let slope = gamma.iter().zip(&self.scale).map(|(gamma, scale)| T::from_f64(gamma.to_f64() * scale));
        let (slope, mean): (Vec<T>, Vec<T>) = slope.zip(self.mean.iter().map(|&mean| T::from_f64(mean))).unzip();
        let mut y = vec![T::zero(); x.len()];
        for_each_plane(&mut y, self.sizes.plane, |i, y| {
            let c = i % self.sizes.channels;
            let (slope, mean, beta) = (slope[c], mean[c], beta[c]);
            for (y, &x) in y.iter_mut().zip(&x[i * self.sizes.plane..]) {
                *y = slope * (x - mean) + beta;
            }
        });
        output(y, layout.shape())
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let g = g.contiguous()?;
        let (total, along) = read2::<T, _>(x, &g, |x, g| self.sums(x, g))?;
        let vector = |t: &Tensor, sums: &[f64]| like(t, sums.iter().map(|&s| T::from_f64(s)).collect());
        let dx = || {
            let dx = read(gamma, |gamma| read2(x, &g, |x, g| self.dx(x, g, gamma, &total, &along)))??;
            like(x, dx)
        };
        Ok((
            x.track_op().then(dx).transpose()?,
            gamma.track_op().then(|| vector(gamma, &along)).transpose()?,
            beta.track_op().then(|| vector(beta, &total)).transpose()?,
        ))
    }
}
