//! Transforms of tiles: from images, and back to them.

use std::ops::Range;

use super::filtering::{Filtering, SIDE};
use super::{Layout, point_step};
use crate::kernel::{Float, Simd};

/// Tiles that are transformed together.
pub(super) const TOGETHER: usize = 16;

/// Strides to the next row and the next column of pixels.
type Steps = [usize; 2];

/// Bᵀ d B of `tiles`, as (point, tile, channel).
#[inline(always)]
pub(super) unsafe fn inputs<S: Simd, F: Filtering>(
    x: *const S::T,
    at: &Layout,
    columns: usize,
    tiles: &Range<usize>,
    v: *mut S::T,
) {
    match at.channels {
        16 => inputs_of::<S, F, 16>(x, at, columns, tiles, v),
        32 => inputs_of::<S, F, 32>(x, at, columns, tiles, v),
        64 => inputs_of::<S, F, 64>(x, at, columns, tiles, v),
        _ => inputs_of::<S, F, 0>(x, at, columns, tiles, v),
    }
}

/// The same for C channels, or any number where C is 0. With constant strides, the compiler needs one register for the
/// addresses of all points instead of one each.
#[inline(always)]
unsafe fn inputs_of<S: Simd, F: Filtering, const C: usize>(
    x: *const S::T,
    at: &Layout,
    columns: usize,
    tiles: &Range<usize>,
    v: *mut S::T,
) {
    let channels = if C > 0 { C } else { at.channels };
    let (point, steps) = (point_step(TOGETHER * channels), [at.step, channels]);
    for (t, begin) in at.walk(F::OUT, columns, tiles).enumerate() {
        let (from, to) = (x.add(begin), v.add(t * channels));
        for c in (0..channels).step_by(S::LANES) {
            match channels - c {
                n if n < S::LANES => input_tile::<S, F, false>(from.add(c), steps, to.add(c), point, n),
                n => input_tile::<S, F, true>(from.add(c), steps, to.add(c), point, n),
            }
        }
    }
}

/// Bᵀ d B of one vector of `n` channels of a tile, from its pixels at `from` to its points, `point` apart, at `to`.
#[inline(always)]
unsafe fn input_tile<S: Simd, F: Filtering, const WHOLE: bool>(
    from: *const S::T,
    [row, column]: Steps,
    to: *mut S::T,
    point: usize,
    n: usize,
) {
    let mut half = [[S::splat(S::T::ZERO); SIDE]; SIDE];
    for j in 0..F::IN {
        let mut d = [S::splat(S::T::ZERO); SIDE];
        for i in 0..F::IN {
            d[i] = S::get::<WHOLE>(from.add(i * row + j * column), n);
        }
        let d = F::input::<S>(d);
        (0..F::IN).for_each(|i| half[i][j] = d[i]);
    }
    for i in 0..F::IN {
        let v = F::input::<S>(half[i]);
        for j in 0..F::IN {
            S::put::<WHOLE>(to.add((F::IN * i + j) * point), v[j], n);
        }
    }
}

/// Aᵀ m A of `tiles`, written or added; `y` is where the whole output would begin.
#[inline(always)]
pub(super) unsafe fn outputs<S: Simd, F: Filtering>(
    m: *const S::T,
    y: *mut S::T,
    at: &Layout,
    columns: usize,
    tiles: &Range<usize>,
    add: bool,
) {
    match at.channels {
        16 => outputs_of::<S, F, 16>(m, y, at, columns, tiles, add),
        32 => outputs_of::<S, F, 32>(m, y, at, columns, tiles, add),
        64 => outputs_of::<S, F, 64>(m, y, at, columns, tiles, add),
        _ => outputs_of::<S, F, 0>(m, y, at, columns, tiles, add),
    }
}

/// The same for C channels, as in [`inputs_of`].
#[inline(always)]
unsafe fn outputs_of<S: Simd, F: Filtering, const C: usize>(
    m: *const S::T,
    y: *mut S::T,
    at: &Layout,
    columns: usize,
    tiles: &Range<usize>,
    add: bool,
) {
    let channels = if C > 0 { C } else { at.channels };
    let (point, steps) = (point_step(TOGETHER * channels), [at.step, channels]);
    for (t, begin) in at.walk(F::OUT, columns, tiles).enumerate() {
        let (from, to) = (m.add(t * channels), y.wrapping_add(begin));
        for c in (0..channels).step_by(S::LANES) {
            match channels - c {
                n if n < S::LANES => output_tile::<S, F, false>(from.add(c), point, to.add(c), steps, n, add),
                n => output_tile::<S, F, true>(from.add(c), point, to.add(c), steps, n, add),
            }
        }
    }
}

/// Aᵀ m A of one vector of `n` channels of a tile, from its points, `point` apart, to its pixels.
#[inline(always)]
unsafe fn output_tile<S: Simd, F: Filtering, const WHOLE: bool>(
    from: *const S::T,
    point: usize,
    to: *mut S::T,
    [row, column]: Steps,
    n: usize,
    add: bool,
) {
    let mut half = [[S::splat(S::T::ZERO); SIDE]; SIDE];
    for j in 0..F::IN {
        let mut m = [S::splat(S::T::ZERO); SIDE];
        for i in 0..F::IN {
            m[i] = S::get::<WHOLE>(from.add((F::IN * i + j) * point), n);
        }
        let m = F::output::<S>(m);
        (0..F::OUT).for_each(|i| half[i][j] = m[i]);
    }
    for i in 0..F::OUT {
        let y = F::output::<S>(half[i]);
        for j in 0..F::OUT {
            let to = to.add(i * row + j * column);
            S::put::<WHOLE>(to, if add { S::add(S::get::<WHOLE>(to, n), y[j]) } else { y[j] }, n);
        }
    }
}
