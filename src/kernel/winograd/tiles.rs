//! Tiles of images transformed, and back.

use std::ops::Range;

use super::Layout;
use crate::kernel::{Float, Simd};

/// Tiles that are transformed together.
pub(super) const TOGETHER: usize = 16;

/// Places in a tile's surroundings: to the next row, column and point.
type Steps = [usize; 2];

/// Bᵀ d B of `tiles`: rows (point, tile) of the channels.
#[inline(always)]
pub(super) unsafe fn inputs<S: Simd>(x: *const S::T, at: &Layout, columns: usize, tiles: &Range<usize>, v: *mut S::T) {
    match at.channels {
        16 => inputs_of::<S, 16>(x, at, columns, tiles, v),
        32 => inputs_of::<S, 32>(x, at, columns, tiles, v),
        64 => inputs_of::<S, 64>(x, at, columns, tiles, v),
        _ => inputs_of::<S, 0>(x, at, columns, tiles, v),
    }
}

/// The same for C channels, any number of them where C is 0. With the distances between points known to the compiler,
/// sixteen of them need one register instead of sixteen.
#[inline(always)]
unsafe fn inputs_of<S: Simd, const C: usize>(
    x: *const S::T,
    at: &Layout,
    columns: usize,
    tiles: &Range<usize>,
    v: *mut S::T,
) {
    let channels = if C > 0 { C } else { at.channels };
    let (point, steps) = (TOGETHER * channels, [at.step, channels]);
    for (t, begin) in at.walk(columns, tiles).enumerate() {
        let (from, to) = (x.add(begin), v.add(t * channels));
        for c in (0..channels).step_by(S::LANES) {
            match channels - c {
                n if n < S::LANES => input_tile::<S, false>(from.add(c), steps, to.add(c), point, n),
                n => input_tile::<S, true>(from.add(c), steps, to.add(c), point, n),
            }
        }
    }
}

/// One vector of channels of a tile: `n` values of it from `from`, its points `point` apart from `to` on.
#[inline(always)]
unsafe fn input_tile<S: Simd, const WHOLE: bool>(
    from: *const S::T,
    [row, column]: Steps,
    to: *mut S::T,
    point: usize,
    n: usize,
) {
    let mut half = [[S::splat(S::T::ZERO); 4]; 4];
    for j in 0..4 {
        let mut d = [S::splat(S::T::ZERO); 4];
        for (i, d) in d.iter_mut().enumerate() {
            *d = S::get::<WHOLE>(from.add(i * row + j * column), n);
        }
        let d = input::<S>(d);
        (half[0][j], half[1][j], half[2][j], half[3][j]) = (d[0], d[1], d[2], d[3]);
    }
    for (i, half) in half.iter().enumerate() {
        for (j, &value) in input::<S>(*half).iter().enumerate() {
            S::put::<WHOLE>(to.add((4 * i + j) * point), value, n);
        }
    }
}

/// Bᵀ d along one axis.
#[inline(always)]
unsafe fn input<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 4] {
    [S::sub(a, c), S::add(b, c), S::sub(c, b), S::sub(b, d)]
}

/// Aᵀ m A of `tiles`, of C channels, or any number where C is 0; `y` points to where the whole output would begin.
#[inline(always)]
pub(super) unsafe fn outputs_of<S: Simd, const C: usize>(
    m: *const S::T,
    y: *mut S::T,
    at: &Layout,
    columns: usize,
    tiles: &Range<usize>,
    add: bool,
) {
    let channels = if C > 0 { C } else { at.channels };
    let (point, steps) = (TOGETHER * channels, [at.step, channels]);
    for (t, begin) in at.walk(columns, tiles).enumerate() {
        let (from, to) = (m.add(t * channels), y.wrapping_add(begin));
        for c in (0..channels).step_by(S::LANES) {
            match channels - c {
                n if n < S::LANES => output_tile::<S, false>(from.add(c), point, to.add(c), steps, n, add),
                n => output_tile::<S, true>(from.add(c), point, to.add(c), steps, n, add),
            }
        }
    }
}

/// Aᵀ m A of one vector of channels: from its points `point` apart to 2x2 pixels.
#[inline(always)]
unsafe fn output_tile<S: Simd, const WHOLE: bool>(
    from: *const S::T,
    point: usize,
    to: *mut S::T,
    [row, column]: Steps,
    n: usize,
    add: bool,
) {
    let mut half = [[S::splat(S::T::ZERO); 4]; 2];
    for j in 0..4 {
        let mut m = [S::splat(S::T::ZERO); 4];
        for (i, m) in m.iter_mut().enumerate() {
            *m = S::get::<WHOLE>(from.add((4 * i + j) * point), n);
        }
        let m = output::<S>(m);
        (half[0][j], half[1][j]) = (m[0], m[1]);
    }
    for (i, half) in half.iter().enumerate() {
        for (j, &value) in output::<S>(*half).iter().enumerate() {
            let to = to.add(i * row + j * column);
            S::put::<WHOLE>(to, if add { S::add(S::get::<WHOLE>(to, n), value) } else { value }, n);
        }
    }
}

/// Aᵀ m along one axis.
#[inline(always)]
unsafe fn output<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 2] {
    [S::add(S::add(a, b), c), S::sub(S::sub(b, c), d)]
}
