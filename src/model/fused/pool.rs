//! Pooling of maps, flattening, and the shortcut without parameters.

use std::sync::Arc;

use crate::kernel::transpose::Transpose;
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
        let rows = piece.values.chunks_exact_mut(to.row()).zip(taps.chunks_exact_mut(to.row()));
        for (i, (y, best)) in rows.enumerate() {
            let x = &x.values()[from.at(piece.n, i * size)..];
            T::dispatch(MaxPool { x, row: from.row(), channels: from.c, size, y, best });
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
    let covered = (to.h * size, to.w * size) == (from.h, from.w);
    parallel(dx.pieces(from.h), |_, piece| {
        if !covered {
            piece.values.fill(T::ZERO);
        }
        let taps = &taps[piece.n * to.image()..][..to.image()];
        let rows = g.picture(piece.n).chunks_exact(to.row()).zip(taps.chunks_exact(to.row()));
        for (i, (g, best)) in rows.enumerate() {
            let dx = &mut piece.values[from.at(0, i * size)..];
            T::dispatch(MaxPoolGradient { dx, row: from.row(), channels: from.c, size, g, best });
        }
    });
    dx
}

/// One row of windows.
struct MaxPool<'a, T> {
    /// The picture from the first window's corner on.
    x: &'a [T],
    /// From one row of the picture to the next.
    row: usize,
    channels: usize,
    size: usize,
    y: &'a mut [T],
    best: &'a mut [u32],
}

/// Channels that are worked on together, their number known to the compiler.
const TOGETHER: usize = 16;

impl<T: Float> Kernel<T> for MaxPool<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let windows = self.y.chunks_exact_mut(self.channels).zip(self.best.chunks_exact_mut(self.channels));
        for (i, (y, best)) in windows.enumerate() {
            let corner = &self.x[i * self.size * self.channels..];
            let seen = |tap: usize, c: usize| tap / self.size * self.row + tap % self.size * self.channels + c;
            let mut c = 0;
            while c + TOGETHER <= self.channels {
                maximum::<T, TOGETHER>(self.size, corner, |tap| seen(tap, c), &mut y[c..], &mut best[c..]);
                c += TOGETHER;
            }
            while c + 4 <= self.channels {
                maximum::<T, 4>(self.size, corner, |tap| seen(tap, c), &mut y[c..], &mut best[c..]);
                c += 4;
            }
            while c < self.channels {
                maximum::<T, 1>(self.size, corner, |tap| seen(tap, c), &mut y[c..], &mut best[c..]);
                c += 1;
            }
        }
    }
}

/// The maxima of N channels of a window, whose taps lie at `at` in `x`.
#[inline(always)]
fn maximum<T: Float, const N: usize>(size: usize, x: &[T], at: impl Fn(usize) -> usize, y: &mut [T], best: &mut [u32]) {
    let (mut max, mut from) = ([T::ZERO; N], [0; N]);
    max.copy_from_slice(&x[at(0)..][..N]);
    for tap in 1..size * size {
        let seen = &x[at(tap)..][..N];
        for c in 0..N {
            // NaN is greater than nothing and has to be asked for.
            let better = (seen[c] > max[c]) | (seen[c].is_nan() & !max[c].is_nan());
            max[c] = if better { seen[c] } else { max[c] };
            from[c] = if better { tap as u32 } else { from[c] };
        }
    }
    y[..N].copy_from_slice(&max);
    best[..N].copy_from_slice(&from);
}

/// The gradient of one row of windows.
struct MaxPoolGradient<'a, T> {
    /// The picture's gradient from the first window's corner on.
    dx: &'a mut [T],
    row: usize,
    channels: usize,
    size: usize,
    g: &'a [T],
    best: &'a [u32],
}

impl<T: Float> Kernel<T> for MaxPoolGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let windows = self.g.chunks_exact(self.channels).zip(self.best.chunks_exact(self.channels));
        for (i, (g, best)) in windows.enumerate() {
            for tap in 0..self.size * self.size {
                let at = tap / self.size * self.row + (i * self.size + tap % self.size) * self.channels;
                let seen = &mut self.dx[at..][..self.channels];
                for ((dx, &g), &best) in seen.iter_mut().zip(g).zip(best) {
                    *dx = if best == tap as u32 { g } else { T::ZERO };
                }
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
        for row in 0..from.h {
            let (x, to) = (&x.values()[from.at(piece.n, row)..], &mut piece.values[row * from.w..]);
            Transpose { from: x, from_step: from.c, size: [from.w, from.c], to, to_step: from.pixels() }.compute();
        }
    }
    y
}

/// The gradient of [`flatten`] with respect to a map of sizes `from`.
pub fn flatten_gradient<T: Float>(from: Sizes, g: &Map<T>, workspace: &Arc<Workspace<T>>) -> Map<T> {
    let mut dx = Map::new(from.bordered([0, 0]), workspace);
    for piece in dx.pieces(from.h) {
        let (g, size) = (g.picture(piece.n), [from.c, from.pixels()]);
        Transpose { from: g, from_step: from.pixels(), size, to: piece.values, to_step: from.c }.compute();
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
