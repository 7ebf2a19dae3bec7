//! Winograd's minimal filtering F(2x2, 3x3): a tile of 2x2 outputs of a 3x3 convolution in 16 multiplications instead
//! of 36 (Lavin & Gray, CVPR 2016, arXiv 1509.09308), and its two gradients.
//!
//! With the input tile d (4x4), kernel g (3x3) and output tile y (2x2):
//! y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, and dg = Gᵀ [(Bᵀ d B) ⊙ (A dy Aᵀ)] G. The products, summed over input channels or
//! over tiles, are 16 independent matrix products, one per position in the transformed tile.

use candle_core::WithDType;

use super::contract::{Contract, Grid, Run};
use super::outer::{Outer, Pixels};
use super::{Float, Kernel, Simd};

/// Positions in a transformed tile.
pub const POINTS: usize = 16;

/// The tiles of a picture, or of several: where the pixels of each lie.
#[derive(Debug, Clone, Copy)]
pub struct Grids {
    /// Tiles in a row.
    pub columns: usize,
    /// Rows of tiles in a picture.
    pub rows: usize,
}

/// Pixels of pictures: (picture, row, column) lies at `first + picture·steps[0] + row·steps[1] + column·channels`.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// First value of the first picture's first tile.
    pub first: usize,
    /// To the next picture and the next row of pixels.
    pub steps: [usize; 2],
    /// Channels of a pixel.
    pub channels: usize,
}

impl Layout {
    /// Where tile `tile` (counted over rows and pictures) begins.
    fn tile(&self, grids: &Grids, tile: usize) -> usize {
        let (row, column) = (tile / grids.columns, tile % grids.columns);
        let (picture, row) = (row / grids.rows, row % grids.rows);
        self.first + picture * self.steps[0] + 2 * row * self.steps[1] + 2 * column * self.channels
    }

    /// One past the last value of `side` x `side` pixels at the last of `tiles`. Tiles of one row or picture lie in
    /// order, so none reaches farther.
    fn end(&self, grids: &Grids, tiles: &std::ops::Range<usize>, side: usize) -> usize {
        let last = (tiles.start..tiles.end).rev().take(grids.columns).map(|tile| self.tile(grids, tile)).max();
        last.unwrap_or(0) + (side - 1) * (self.steps[1] + self.channels) + self.channels
    }
}

/// G g Gᵀ of all kernels: from rows (tap, in) of `pitch` to rows (point, in) of `pitch`.
pub struct Weights<'a, T> {
    /// Direct convolution's weights.
    pub w: &'a [T],
    /// Input channels.
    pub inputs: usize,
    /// Values of a row, a multiple of every vector's length.
    pub pitch: usize,
    /// Room for 16 x inputs rows.
    pub u: &'a mut [T],
}

impl<T: Float> Weights<'_, T> {
    /// Computes.
    pub fn compute(self) {
        assert!(self.w.len() >= 9 * self.inputs * self.pitch && self.u.len() >= POINTS * self.inputs * self.pitch);
        assert_eq!(self.pitch % 16, 0, "whole vectors");
        T::dispatch(self)
    }
}

impl<T: Float> Kernel<T> for Weights<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let row = self.inputs * self.pitch;
        for at in (0..row).step_by(S::LANES) {
            let mut g = [[S::splat(T::ZERO); 3]; 3];
            for (tap, g) in g.as_flattened_mut().iter_mut().enumerate() {
                *g = S::load(self.w.as_ptr().add(tap * row + at));
            }
            let mut half = [[S::splat(T::ZERO); 3]; 4];
            for j in 0..3 {
                let column = filter::<S>([g[0][j], g[1][j], g[2][j]]);
                (0..4).for_each(|i| half[i][j] = column[i]);
            }
            for (i, half) in half.iter().enumerate() {
                for (j, &u) in filter::<S>(*half).iter().enumerate() {
                    S::store(self.u.as_mut_ptr().add((4 * i + j) * row + at), u);
                }
            }
        }
    }
}

/// G g along one axis.
#[inline(always)]
unsafe fn filter<S: Simd>([a, b, c]: [S::V; 3]) -> [S::V; 4] {
    let half = S::splat(S::T::from_f64(0.5));
    let outer = S::mul(half, S::add(a, c));
    [a, S::fma(half, b, outer), S::sub(outer, S::mul(half, b)), c]
}

/// Bᵀ d along one axis.
#[inline(always)]
unsafe fn input<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 4] {
    [S::sub(a, c), S::add(b, c), S::sub(c, b), S::sub(b, d)]
}

/// Aᵀ m along one axis.
#[inline(always)]
unsafe fn output<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 2] {
    [S::add(S::add(a, b), c), S::sub(S::sub(b, c), d)]
}

/// A dy along one axis.
#[inline(always)]
unsafe fn spread<S: Simd>([a, b]: [S::V; 2]) -> [S::V; 4] {
    [a, S::add(a, b), S::sub(a, b), S::sub(S::splat(S::T::ZERO), b)]
}

/// Bᵀ d B of `tiles`: rows (point, tile) of the channels.
#[inline(always)]
unsafe fn inputs<S: Simd>(
    x: *const S::T,
    at: &Layout,
    grids: &Grids,
    tiles: std::ops::Range<usize>,
    v: *mut S::T,
) {
    let (channels, count) = (at.channels, tiles.len());
    for (t, tile) in tiles.enumerate() {
        let corner = x.add(at.tile(grids, tile));
        for c in (0..channels).step_by(S::LANES) {
            let n = S::LANES.min(channels - c);
            let mut half = [[S::splat(S::T::ZERO); 4]; 4];
            for j in 0..4 {
                let from = corner.add(j * channels + c);
                let step = at.steps[1];
                let column = input::<S>([
                    S::load_n(from, n),
                    S::load_n(from.add(step), n),
                    S::load_n(from.add(2 * step), n),
                    S::load_n(from.add(3 * step), n),
                ]);
                half[0][j] = column[0];
                half[1][j] = column[1];
                half[2][j] = column[2];
                half[3][j] = column[3];
            }
            for (i, half) in half.iter().enumerate() {
                for (j, &value) in input::<S>(*half).iter().enumerate() {
                    S::store_n(v.add(((4 * i + j) * count + t) * channels + c), value, n);
                }
            }
        }
    }
}

/// A dy Aᵀ of `tiles`: rows (point, tile) of the channels.
#[inline(always)]
unsafe fn gradients<S: Simd>(
    dy: *const S::T,
    at: &Layout,
    grids: &Grids,
    tiles: std::ops::Range<usize>,
    e: *mut S::T,
) {
    let (channels, count) = (at.channels, tiles.len());
    for (t, tile) in tiles.enumerate() {
        let corner = dy.add(at.tile(grids, tile));
        for c in (0..channels).step_by(S::LANES) {
            let n = S::LANES.min(channels - c);
            let mut half = [[S::splat(S::T::ZERO); 2]; 4];
            for j in 0..2 {
                let from = corner.add(j * channels + c);
                let column = spread::<S>([S::load_n(from, n), S::load_n(from.add(at.steps[1]), n)]);
                half[0][j] = column[0];
                half[1][j] = column[1];
                half[2][j] = column[2];
                half[3][j] = column[3];
            }
            for (i, half) in half.iter().enumerate() {
                for (j, &value) in spread::<S>(*half).iter().enumerate() {
                    S::store_n(e.add(((4 * i + j) * count + t) * channels + c), value, n);
                }
            }
        }
    }
}

/// A convolution of consecutive tiles of one picture: y = conv(x), or y += it.
pub struct Convolve<'a, T> {
    /// The tiles.
    pub grids: Grids,
    /// Which of them, whole rows.
    pub tiles: std::ops::Range<usize>,
    /// The picture, with the border it needs.
    pub x: &'a [T],
    /// Where its pixels lie.
    pub x_at: Layout,
    /// [`Weights`]' result, rows of `pitch`.
    pub u: &'a [T],
    /// From one row of the weights to the next.
    pub pitch: usize,
    /// The output from row 2·(first tile row) on.
    pub y: &'a mut [T],
    /// Where its pixels lie, had it begun with the picture.
    pub y_at: Layout,
    /// Where in the whole output `y` begins.
    pub origin: usize,
    /// Whether to add.
    pub add: bool,
    /// Room for [`Self::room`] values.
    pub scratch: &'a mut [T],
}

/// Tiles that are transformed together.
const TOGETHER: usize = 16;

impl<T: Float> Convolve<'_, T> {
    /// Values of scratch a convolution needs.
    pub fn room(inputs: usize, outputs: usize) -> usize {
        POINTS * TOGETHER * (inputs + outputs)
    }

    /// Computes.
    ///
    /// # Panics
    /// If a tile reaches beyond the slices.
    pub fn compute(self) {
        if self.tiles.is_empty() {
            return;
        }
        let (inputs, outputs) = (self.x_at.channels, self.y_at.channels);
        assert!(self.x_at.end(&self.grids, &self.tiles, 4) <= self.x.len(), "the picture");
        assert!(self.y_at.end(&self.grids, &self.tiles, 2) <= self.origin + self.y.len(), "the output");
        assert!(self.y_at.tile(&self.grids, self.tiles.start) >= self.origin, "the output begins too late");
        assert!(self.u.len() >= POINTS * inputs * self.pitch && self.pitch >= super::contract::padded(outputs));
        assert!(self.scratch.len() >= Self::room(inputs, outputs), "scratch");
        T::dispatch(self)
    }
}

impl<T: Float> Kernel<T> for Convolve<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let (inputs_, outputs) = (self.x_at.channels, self.y_at.channels);
        let mut first = self.tiles.start;
        while first < self.tiles.end {
            let tiles = first..self.tiles.end.min(first + TOGETHER);
            let count = tiles.len();
            let (v, m) = self.scratch.split_at_mut(POINTS * count * inputs_);
            inputs::<S>(self.x.as_ptr(), &self.x_at, &self.grids, tiles.clone(), v.as_mut_ptr());
            let grid = Grid {
                len: inputs_,
                runs: vec![Run { x: 0, w: 0 }],
                size: [1, count],
                x: [0, 0, inputs_],
                y: [0, 0, outputs],
                channels: outputs,
                pitch: self.pitch,
            };
            for point in 0..POINTS {
                let x = &v[point * count * inputs_..];
                let w = &self.u[point * inputs_ * self.pitch..];
                let y = &mut m[point * count * outputs..];
                Contract { grid: &grid, x, w, y, rows: 0..1, origin: 0, add: false }.run::<S>();
            }
            for (t, tile) in tiles.enumerate() {
                let corner = self.y.as_mut_ptr().add(self.y_at.tile(&self.grids, tile) - self.origin);
                for c in (0..outputs).step_by(S::LANES) {
                    let n = S::LANES.min(outputs - c);
                    let mut half = [[S::splat(T::ZERO); 4]; 2];
                    for j in 0..4 {
                        let at = |i: usize| m.as_ptr().add(((4 * i + j) * count + t) * outputs + c);
                        let (a, b, c, d) = (at(0), at(1), at(2), at(3));
                        let column =
                            output::<S>([S::load_n(a, n), S::load_n(b, n), S::load_n(c, n), S::load_n(d, n)]);
                        half[0][j] = column[0];
                        half[1][j] = column[1];
                    }
                    for (i, half) in half.iter().enumerate() {
                        for (j, &value) in output::<S>(*half).iter().enumerate() {
                            let to = corner.add(i * self.y_at.steps[1] + j * outputs + c);
                            S::store_n(to, if self.add { S::add(S::load_n(to, n), value) } else { value }, n);
                        }
                    }
                }
            }
            first += count;
        }
    }
}

/// A weight gradient over consecutive rows of tiles, of several pictures if need be: rows (out, ky) of (kx, in).
pub struct Correlate<'a, T> {
    /// The tiles.
    pub grids: Grids,
    /// Which of them.
    pub tiles: std::ops::Range<usize>,
    /// The pictures, with the border they need.
    pub x: &'a [T],
    /// Where their pixels lie.
    pub x_at: Layout,
    /// The gradient with respect to the output.
    pub dy: &'a [T],
    /// Where its pixels lie.
    pub dy_at: Layout,
    /// The result.
    pub w: &'a mut [T],
    /// Room for [`Self::room`] values.
    pub scratch: &'a mut [T],
}

/// Tiles that pass the accumulators together: the more, the less is spent on moving them.
const PASSING: usize = 64;

impl<T: Float> Correlate<'_, T> {
    /// Values of scratch a weight gradient needs.
    pub fn room(inputs: usize, outputs: usize) -> usize {
        POINTS * (PASSING * (inputs + outputs) + inputs * outputs)
    }

    /// Computes.
    ///
    /// # Panics
    /// If a tile reaches beyond the slices.
    pub fn compute(self) {
        let (inputs, outputs) = (self.x_at.channels, self.dy_at.channels);
        assert!(self.w.len() >= 9 * inputs * outputs, "the result");
        assert!(self.scratch.len() >= Self::room(inputs, outputs), "scratch");
        if !self.tiles.is_empty() {
            assert!(self.x_at.end(&self.grids, &self.tiles, 4) <= self.x.len(), "the pictures");
            assert!(self.dy_at.end(&self.grids, &self.tiles, 2) <= self.dy.len(), "the gradient");
        }
        T::dispatch(self)
    }
}

impl<T: Float> Kernel<T> for Correlate<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let (inputs_, outputs) = (self.x_at.channels, self.dy_at.channels);
        let (du, rest) = self.scratch.split_at_mut(POINTS * inputs_ * outputs);
        if self.tiles.is_empty() {
            du.fill(T::ZERO);
        }
        let mut first = self.tiles.start;
        while first < self.tiles.end {
            let tiles = first..self.tiles.end.min(first + PASSING);
            let count = tiles.len();
            let (v, e) = rest.split_at_mut(POINTS * count * inputs_);
            inputs::<S>(self.x.as_ptr(), &self.x_at, &self.grids, tiles.clone(), v.as_mut_ptr());
            gradients::<S>(self.dy.as_ptr(), &self.dy_at, &self.grids, tiles, e.as_mut_ptr());
            for point in 0..POINTS {
                Outer {
                    count: [1, 1, count],
                    g: e,
                    g_at: Pixels { first: point * count * outputs, steps: [0, 0, outputs] },
                    x: v,
                    x_at: Pixels { first: point * count * inputs_, steps: [0, 0, inputs_] },
                    w: &mut du[point * inputs_ * outputs..],
                    size: [outputs, inputs_],
                    pitch: inputs_,
                    add: first > self.tiles.start,
                }
                .run::<S>();
            }
            first += count;
        }
        // Gᵀ dU G, which takes the four points of an axis to three taps.
        for o in 0..outputs {
            for i in (0..inputs_).step_by(S::LANES) {
                let n = S::LANES.min(inputs_ - i);
                let mut half = [[S::splat(T::ZERO); 4]; 3];
                for j in 0..4 {
                    let at = |point: usize| du.as_ptr().add(((4 * point + j) * outputs + o) * inputs_ + i);
                    let (a, b, c, d) = (at(0), at(1), at(2), at(3));
                    let column = taps::<S>([S::load_n(a, n), S::load_n(b, n), S::load_n(c, n), S::load_n(d, n)]);
                    half[0][j] = column[0];
                    half[1][j] = column[1];
                    half[2][j] = column[2];
                }
                for (ky, half) in half.iter().enumerate() {
                    for (kx, &value) in taps::<S>(*half).iter().enumerate() {
                        let to = self.w.as_mut_ptr().add((o * 9 + ky * 3 + kx) * inputs_ + i);
                        S::store_n(to, value, n);
                    }
                }
            }
        }
    }
}

/// Gᵀ u along one axis.
#[inline(always)]
unsafe fn taps<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 3] {
    let half = S::splat(S::T::from_f64(0.5));
    let (sum, difference) = (S::mul(half, S::add(b, c)), S::mul(half, S::sub(b, c)));
    [S::add(a, sum), difference, S::add(sum, d)]
}
