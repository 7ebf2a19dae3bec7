//! Pooling of maps, flattening, and the shortcut without parameters.

use std::sync::Arc;

use crate::kernel::{Float, Kernel, Simd};

use super::map::{Map, Sizes, Workspace};
use super::parallel;

/// The maximum of each window with the tap it came from, the first in reading order; NaN where the window has one.
pub fn max_pool<T: Float>(x: &Map<T>, size: usize, workspace: &Arc<Workspace<T>>) -> (Map<T>, Vec<u32>) {
    let from = x.sizes;
    let to = Sizes::new([from.n, from.h / size, from.w / size, from.c]);
    let mut y = Map::new(to, workspace);
    let mut taps = vec![0; y.values().len()];
    let tasks: Vec<_> = y.pieces(to.h).into_iter().zip(taps.chunks_exact_mut(to.image())).collect();
    parallel(tasks, |_, (piece, taps)| {
        let outputs = piece.values.chunks_exact_mut(to.c).zip(taps.chunks_exact_mut(to.c));
        for (i, (y, best)) in outputs.enumerate() {
            let corner = from.at(piece.n, i / to.w * size) + i % to.w * size * from.c;
            let window = &x.values()[corner..];
            T::dispatch(MaxPool { window, row: from.row(), size, y, best });
        }
    });
    (y, taps)
}

/// The gradient of [`max_pool`] with respect to a map of sizes `from` (without border).
pub fn max_pool_gradient<T: Float>(
    from: Sizes,
    size: usize,
    taps: &[u32],
    g: &Map<T>,
    workspace: &Arc<Workspace<T>>,
) -> Map<T> {
    let (from, to) = (from.bordered([0, 0]), g.sizes);
    let mut dx = Map::new(from, workspace);
    parallel(dx.pieces(from.h), |_, piece| {
        piece.values.fill(T::ZERO);
        let windows = g.picture(piece.n).chunks_exact(to.c).zip(taps[piece.n * to.image()..].chunks_exact(to.c));
        for (i, (g, taps)) in windows.enumerate() {
            let corner = from.at(0, i / to.w * size) + i % to.w * size * from.c;
            T::dispatch(MaxPoolGradient { window: &mut piece.values[corner..], row: from.row(), size, g, best: taps });
        }
    });
    dx
}

/// One window of all channels.
struct MaxPool<'a, T> {
    /// The picture from the window's corner on.
    window: &'a [T],
    /// From one row of the picture to the next.
    row: usize,
    size: usize,
    y: &'a mut [T],
    best: &'a mut [u32],
}

impl<T: Float> Kernel<T> for MaxPool<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let channels = self.y.len();
        self.y.copy_from_slice(&self.window[..channels]);
        for tap in 1..self.size * self.size {
            let seen = &self.window[tap / self.size * self.row + tap % self.size * channels..][..channels];
            for ((y, best), &v) in self.y.iter_mut().zip(self.best.iter_mut()).zip(seen) {
                // NaN is greater than nothing and has to be asked for.
                let better = (v > *y) | (v.is_nan() & !y.is_nan());
                *y = if better { v } else { *y };
                *best = if better { tap as u32 } else { *best };
            }
        }
    }
}

/// The gradient of one window.
struct MaxPoolGradient<'a, T> {
    window: &'a mut [T],
    row: usize,
    size: usize,
    g: &'a [T],
    best: &'a [u32],
}

impl<T: Float> Kernel<T> for MaxPoolGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let channels = self.g.len();
        for tap in 0..self.size * self.size {
            let seen = &mut self.window[tap / self.size * self.row + tap % self.size * channels..][..channels];
            for ((dx, &g), &best) in seen.iter_mut().zip(self.g).zip(self.best) {
                *dx = if best == tap as u32 { g } else { T::ZERO };
            }
        }
    }
}

/// Mean over rows and columns.
pub fn average<T: Float>(x: &Map<T>, workspace: &Arc<Workspace<T>>) -> Map<T> {
    let from = x.sizes;
    let mut y = Map::new(Sizes::new([from.n, 1, 1, from.c]), workspace);
    for piece in y.pieces(1) {
        let mut sums = vec![0.0; from.c];
        for row in (0..from.h).map(|row| &x.values()[from.at(piece.n, row)..][..from.w * from.c]) {
            for pixel in row.chunks_exact(from.c) {
                sums.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += v.to_f64());
            }
        }
        let mean = |sum: &f64| T::from_f64(sum / from.pixels() as f64);
        piece.values.iter_mut().zip(&sums).for_each(|(y, sum)| *y = mean(sum));
    }
    y
}

/// The gradient of [`average`] with respect to a map of sizes `from`.
pub fn average_gradient<T: Float>(from: Sizes, g: &Map<T>, workspace: &Arc<Workspace<T>>) -> Map<T> {
    let mut dx = Map::new(from.bordered([0, 0]), workspace);
    for piece in dx.pieces(from.h) {
        let share = T::from_f64(from.pixels() as f64);
        let mean: Vec<T> = g.picture(piece.n).iter().map(|&g| g / share).collect();
        piece.values.chunks_exact_mut(from.c).for_each(|pixel| pixel.copy_from_slice(&mean));
    }
    dx
}

/// (N,H,W,C) to (N,C·H·W), channels outermost as the weights behind it expect.
pub fn flatten<T: Float>(x: &Map<T>, workspace: &Arc<Workspace<T>>) -> Map<T> {
    let from = x.sizes;
    let mut y = Map::new(Sizes::new([from.n, 1, 1, from.c * from.pixels()]), workspace);
    for piece in y.pieces(1) {
        for (row, column) in (0..from.h).flat_map(|y| (0..from.w).map(move |x| (y, x))) {
            let pixel = &x.values()[from.at(piece.n, row) + column * from.c..][..from.c];
            let to = piece.values[row * from.w + column..].iter_mut().step_by(from.pixels());
            to.zip(pixel).for_each(|(to, v)| *to = *v);
        }
    }
    y
}

/// The gradient of [`flatten`] with respect to a map of sizes `from`.
pub fn flatten_gradient<T: Float>(from: Sizes, g: &Map<T>, workspace: &Arc<Workspace<T>>) -> Map<T> {
    let mut dx = Map::new(from.bordered([0, 0]), workspace);
    for piece in dx.pieces(from.h) {
        for (i, pixel) in piece.values.chunks_exact_mut(from.c).enumerate() {
            let seen = g.picture(piece.n)[i..].iter().step_by(from.pixels());
            pixel.iter_mut().zip(seen).for_each(|(to, v)| *to = *v);
        }
    }
    dx
}

/// Every `stride`-th row and column of `x`, with channels of zeros around its own up to `channels`.
pub fn shortcut<T: Float>(x: &Map<T>, stride: usize, channels: usize, workspace: &Arc<Workspace<T>>) -> Map<T> {
    let from = x.sizes;
    let to = Sizes::new([from.n, from.h.div_ceil(stride), from.w.div_ceil(stride), channels]);
    let mut y = Map::new(to, workspace);
    parallel(y.pieces(to.h), |_, piece| {
        piece.values.fill(T::ZERO);
        for (i, pixel) in piece.values.chunks_exact_mut(channels).enumerate() {
            let seen = &x.values()[from.at(piece.n, i / to.w * stride) + i % to.w * stride * from.c..][..from.c];
            pixel[(channels - from.c) / 2..][..from.c].copy_from_slice(seen);
        }
    });
    y
}

/// Adds the gradient of [`shortcut`] to `dx`, a map without border.
pub fn add_shortcut_gradient<T: Float>(dx: &mut Map<T>, stride: usize, g: &Map<T>) {
    let (from, to) = (dx.sizes, g.sizes);
    parallel(dx.pieces(from.h), |_, piece| {
        for (i, pixel) in g.picture(piece.n).chunks_exact(to.c).enumerate() {
            let kept = &mut piece.values[from.at(0, i / to.w * stride) + i % to.w * stride * from.c..][..from.c];
            kept.iter_mut().zip(&pixel[(to.c - from.c) / 2..]).for_each(|(dx, g)| *dx += *g);
        }
    });
}
