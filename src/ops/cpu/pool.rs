//! Pooling, and the shortcut that pools by leaving out.

use super::{for_each_piece, for_each_plane, like, output, read, read2, values, with_real, Real};
use crate::ops::check;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use std::marker::PhantomData;

pub(in crate::ops) fn max_pool2d(x: &Tensor, size: usize) -> Result<Tensor> {
    let shape = check::pooled(x, size)?;
    let [_, _, h, w] = check::dims("max_pool2d", "input", x)?;
    with_real!(x, T => x.contiguous()?.apply_op1(MaxPool::<T> { h, w, shape, size, real: PhantomData }))
}

pub(in crate::ops) fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    let [n, c, h, w] = check::dims("global_avg_pool", "input", x)?;
    with_real!(x, T => x.contiguous()?.apply_op1(AvgPool::<T> { shape: [n, c], plane: h * w, real: PhantomData }))
}

pub(in crate::ops) fn shortcut(x: &Tensor, stride: usize, out_channels: usize) -> Result<Tensor> {
    let to = check::shortcut(x, stride, out_channels)?;
    let from = check::dims("shortcut", "input", x)?;
    if to == from {
        return Ok(x.clone());
    }
    with_real!(x, T => x.contiguous()?.apply_op1(Shortcut::<T> { from, to, stride, real: PhantomData }))
}

struct MaxPool<T> {
    h: usize,
    w: usize,
    shape: [usize; 4],
    size: usize,
    real: PhantomData<T>,
}

impl<T: Real> MaxPool<T> {
    /// Position in its plane of the first maximum, or NaN, of output `i`'s window.
    fn first_max(&self, plane: &[T], i: usize) -> usize {
        let (oy, ox) = (i / self.shape[3], i % self.shape[3]);
        let corner = oy * self.size * self.w + ox * self.size;
        let mut best = corner;
        for row in (corner..).step_by(self.w).take(self.size) {
            for at in row..row + self.size {
                let (new, old) = (plane[at], plane[best]);
                // NaN, unequal to itself, is greater than nothing and has to be asked for.
                if new > old || (new != new && old == old) {
                    best = at;
                }
            }
        }
        best
    }
}

impl<T: Real> CustomOp1 for MaxPool<T> {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let [n, c, oh, ow] = self.shape;
        let x = values::<T>(storage, layout)?;
        let mut out = vec![T::zero(); n * c * oh * ow];
        for_each_plane(&mut out, oh * ow, |plane, out| {
            let x = &x[plane * self.h * self.w..];
            out.iter_mut().enumerate().for_each(|(i, out)| *out = x[self.first_max(x, i)]);
        });
        output(out, self.shape.to_vec())
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let windows = self.shape[2] * self.shape[3];
        let gradient = |x: &[T], g: &[T]| {
            let mut dx = vec![T::zero(); x.len()];
            for_each_plane(&mut dx, self.h * self.w, |plane, dx| {
                let x = &x[plane * self.h * self.w..];
                let g = &g[plane * windows..][..windows];
                g.iter().enumerate().for_each(|(i, &g)| dx[self.first_max(x, i)] = g);
            });
            dx
        };
        Ok(Some(like(x, read2(x, &g.contiguous()?, gradient)?)?))
    }
}

struct AvgPool<T> {
    shape: [usize; 2],
    plane: usize,
    real: PhantomData<T>,
}

impl<T: Real> CustomOp1 for AvgPool<T> {
    fn name(&self) -> &'static str {
        "global_avg_pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let planes = values::<T>(storage, layout)?.chunks_exact(self.plane);
        let mean = |plane: &[T]| T::from_f64(super::norm::sum(plane, |v| v) / self.plane as f64);
        output(planes.map(mean).collect(), self.shape.to_vec())
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let share = T::from_f64(self.plane as f64);
        let gradient =
            |g: &[T]| -> Vec<T> { g.iter().flat_map(|&g| std::iter::repeat_n(g / share, self.plane)).collect() };
        Ok(Some(like(x, read(&g.contiguous()?, gradient)?)?))
    }
}

struct Shortcut<T> {
    from: [usize; 4],
    to: [usize; 4],
    stride: usize,
    real: PhantomData<T>,
}

impl<T: Real> Shortcut<T> {
    /// Position in an image of `to` of its pixel (c, y, x) that comes from channel c of `from`.
    fn target(&self, c: usize, y: usize, x: usize) -> usize {
        let [_, channels, h, w] = self.to;
        (((channels - self.from[1]) / 2 + c) * h + y) * w + x
    }

    /// Calls `f(position in an image of from, position in an image of to)` for every pixel that is kept.
    fn pairs(&self, mut f: impl FnMut(usize, usize)) {
        let [_, channels, h, w] = self.from;
        for c in 0..channels {
            for (oy, y) in (0..h).step_by(self.stride).enumerate() {
                let row = (c * h + y) * w;
                (0..w).step_by(self.stride).enumerate().for_each(|(ox, x)| f(row + x, self.target(c, oy, ox)));
            }
        }
    }
}

impl<T: Real> CustomOp1 for Shortcut<T> {
    fn name(&self) -> &'static str {
        "shortcut"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values::<T>(storage, layout)?;
        let (from, to) = (self.from[1..].iter().product::<usize>(), self.to[1..].iter().product::<usize>());
        let mut out = vec![T::zero(); self.to[0] * to];
        for_each_piece(&mut out, to, || (), |(), n, out| self.pairs(|i, o| out[o] = x[n * from + i]));
        output(out, self.to.to_vec())
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let (from, to) = (self.from[1..].iter().product::<usize>(), self.to[1..].iter().product::<usize>());
        let gradient = |g: &[T]| {
            let mut dx = vec![T::zero(); self.from[0] * from];
            for_each_piece(&mut dx, from, || (), |(), n, dx| self.pairs(|i, o| dx[i] = g[n * to + o]));
            dx
        };
        Ok(Some(like(x, read(&g.contiguous()?, gradient)?)?))
    }
}
