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

/// Both directions go tap by tap along a row of windows and select instead of branching, since which value of a window
/// is the largest cannot be predicted.
impl<T: Real> MaxPool<T> {
    /// Where the taps of the windows in output row `oy` begin in their plane, in reading order; each tap sees every
    /// `size`-th value from there.
    fn taps(&self, oy: usize) -> impl DoubleEndedIterator<Item = usize> {
        let (w, size) = (self.w, self.size);
        (0..size).flat_map(move |ky| (0..size).map(move |kx| (oy * size + ky) * w + kx))
    }

    fn forward(&self, x: &[T], y: &mut [T]) {
        y.fill(T::from_f64(f64::NEG_INFINITY));
        for (oy, y) in y.chunks_exact_mut(self.shape[3]).enumerate() {
            for start in self.taps(oy) {
                for (y, &v) in y.iter_mut().zip(x[start..].iter().step_by(self.size)) {
                    // NaN is greater than nothing and has to be asked for.
                    *y = if (v > *y) | v.is_nan() { v } else { *y };
                }
            }
        }
    }

    fn backward(&self, x: &[T], y: &[T], g: &[T], dx: &mut [T]) {
        let ow = self.shape[3];
        let mut first = vec![0; ow];
        for (oy, (y, g)) in y.chunks_exact(ow).zip(g.chunks_exact(ow)).enumerate() {
            // From the last tap to the first, so that the first one that equals the maximum stays.
            for start in self.taps(oy).rev() {
                let seen = x[start..].iter().step_by(self.size);
                for ((first, &v), &y) in first.iter_mut().zip(seen).zip(y) {
                    *first = if (v == y) | (v.is_nan() & y.is_nan()) { start } else { *first };
                }
            }
            first.iter().zip(g).enumerate().for_each(|(ox, (&start, &g))| dx[start + ox * self.size] = g);
        }
    }
}

impl<T: Real> CustomOp1 for MaxPool<T> {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let [n, c, oh, ow] = self.shape;
        let x = values::<T>(storage, layout)?;
        let mut y = vec![T::zero(); n * c * oh * ow];
        for_each_plane(&mut y, oh * ow, |plane, y| self.forward(&x[plane * self.h * self.w..], y));
        output(y, self.shape.to_vec())
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let (size, windows) = (self.h * self.w, self.shape[2] * self.shape[3]);
        let gradient = |x: &[T], y: &[T], g: &[T]| {
            let mut dx = vec![T::zero(); x.len()];
            for_each_plane(&mut dx, size, |plane, dx| {
                let windows = plane * windows..(plane + 1) * windows;
                self.backward(&x[plane * size..], &y[windows.clone()], &g[windows], dx);
            });
            dx
        };
        let g = g.contiguous()?;
        Ok(Some(like(x, read(x, |x| read2(y, &g, |y, g| gradient(x, y, g)))??)?))
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
