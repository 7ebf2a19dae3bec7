//! Global average pooling, flattening, and the shortcut without parameters.

use std::sync::Arc;

use crate::kernel::transpose::Transpose;
use crate::kernel::{Float, Kernel};

use super::parallel::{Work, parallel};
use super::{Map, Sizes, Workspace};

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
        let mean: Vec<T> = g.image(piece.n).iter().map(|&g| g / share).collect();
        piece.values.chunks_exact_mut(from.c).for_each(|pixel| pixel.copy_from_slice(&mean));
    }
    dx
}

/// (N,H,W,C) to (N,C·H·W), channels outermost as the next layer's weights expect.
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
        let (g, size) = (g.image(piece.n), [from.c, from.pixels()]);
        Transpose { from: g, from_step: from.pixels(), size, to: piece.values, to_step: from.c }.compute();
    }
    dx
}

/// The sizes of the result of [`shortcut`].
pub fn kept(from: &Sizes, stride: usize, channels: usize) -> Sizes {
    Sizes::new([from.n, from.h.div_ceil(stride), from.w.div_ceil(stride), channels])
}

/// Every `stride`-th row and column of `x`, with channels of zeros around its own up to `channels`.
pub fn shortcut<T: Float>(x: &Map<T>, stride: usize, channels: usize, workspace: &Arc<Workspace<T>>) -> Map<T> {
    let (from, to) = (x.sizes, kept(&x.sizes, stride, channels));
    let mut y = Map::new(to, workspace);
    parallel(Work::Values(y.values().len()), y.pieces(to.h), |_, piece| {
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
    parallel(Work::Values(dx.values().len()), dx.pieces(from.h), |_, piece| {
        for (i, pixel) in g.image(piece.n).chunks_exact(to.c).enumerate() {
            let kept = &mut piece.values[from.at(0, i / to.w * stride) + i % to.w * stride * from.c..][..from.c];
            kept.iter_mut().zip(&pixel[(to.c - from.c) / 2..]).for_each(|(dx, g)| *dx += *g);
        }
    });
}
