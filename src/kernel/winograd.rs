//! Winograd's minimal filtering F(2x2, 3x3): a tile of 2x2 outputs of a 3x3 convolution in 16 multiplications
//! instead of 36 (Lavin & Gray, CVPR 2016, arXiv 1509.09308), and its two gradients.
//!
//! With the input tile d (4x4), kernel g (3x3) and output tile y (2x2):
//! y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, and dg = Gᵀ [(Bᵀ d B) ⊙ (A dy Aᵀ)] G. The products, summed over input channels or
//! over tiles, are 16 independent matrix products, one per position in the transformed tile.

use std::ops::Range;

use candle_core::WithDType;

use super::contract::{Contract, Grid, padded};
use super::{Float, Kernel, Simd, end};

/// Positions in a transformed tile.
pub const POINTS: usize = 16;

/// Where the pixels of an image lie: that of row y and column x at `first + y·step + x·channels`.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// First value of the first tile.
    pub first: usize,
    /// To the next row of pixels.
    pub step: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

impl Layout {
    /// Where tile `tile`, counted along the rows, begins.
    fn tile(&self, columns: usize, tile: usize) -> usize {
        self.first + 2 * (tile / columns) * self.step + 2 * (tile % columns) * self.channels
    }

    /// One past the last value of `side` x `side` pixels at the last of `tiles`, whole rows of them.
    fn end(&self, columns: usize, tiles: &Range<usize>, side: usize) -> usize {
        let (row, column) = ((tiles.end - 1) / columns, (tiles.end - 1) % columns);
        let pixels = |tile: usize, more: usize| tile.saturating_mul(2).saturating_add(more);
        end(&[1, pixels(row, side - 1), pixels(column, side)], &[self.first, self.step, self.channels])
    }
}

/// Places in a tile's surroundings: to the next row, column and point.
type Steps = [usize; 2];

/// Tiles with their places: divisions are slow, so there is one per row of tiles.
struct Walk<'a> {
    layout: &'a Layout,
    columns: usize,
    tile: usize,
    end: usize,
    /// The tile's column, and where it begins.
    column: usize,
    begin: usize,
}

impl Layout {
    fn walk(&self, columns: usize, tiles: &Range<usize>) -> Walk<'_> {
        let (tile, end) = (tiles.start, tiles.end);
        Walk { layout: self, columns, tile, end, column: tile % columns, begin: self.tile(columns, tile) }
    }
}

impl Iterator for Walk<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.tile == self.end {
            return None;
        }
        if self.column == self.columns {
            self.column = 0;
            self.begin = self.layout.tile(self.columns, self.tile);
        }
        let begin = self.begin;
        self.tile += 1;
        self.column += 1;
        self.begin += 2 * self.layout.channels;
        Some(begin)
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

impl<T: Float> Kernel<T> for Weights<'_, T> {
    fn check(&self) {
        let row = self.inputs.saturating_mul(self.pitch);
        assert!(end(&[9], &[row]) <= self.w.len() && end(&[POINTS], &[row]) <= self.u.len(), "weights");
        assert_eq!(self.pitch % 16, 0, "whole vectors");
    }

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

/// Bᵀ d B of `tiles`: rows (point, tile) of the channels.
#[inline(always)]
unsafe fn inputs<S: Simd>(x: *const S::T, at: &Layout, columns: usize, tiles: &Range<usize>, v: *mut S::T) {
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

/// Aᵀ m A of `tiles`, of C channels, or any number where C is 0; `y` points to where the whole output would begin.
#[inline(always)]
unsafe fn outputs_of<S: Simd, const C: usize>(
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

/// A convolution of consecutive tiles of one image: y = conv(x), or y += it.
pub struct Convolve<'a, T> {
    /// Tiles in a row.
    pub columns: usize,
    /// Which of them, whole rows.
    pub tiles: Range<usize>,
    /// The image, with the border it needs.
    pub x: &'a [T],
    /// Where its pixels lie.
    pub x_at: Layout,
    /// [`Weights`]' result, rows of `pitch`.
    pub u: &'a [T],
    /// From one row of the weights to the next.
    pub pitch: usize,
    /// The output from row 2·(first tile row) on.
    pub y: &'a mut [T],
    /// Where its pixels lie, had it begun with the image.
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
}

impl<T: Float> Kernel<T> for Convolve<'_, T> {
    fn check(&self) {
        if self.tiles.is_empty() {
            return;
        }
        // Then the first and the last tile are also those that reach farthest.
        assert!([self.tiles.start, self.tiles.end].iter().all(|tile| tile.is_multiple_of(self.columns)), "whole rows");
        let (inputs, outputs) = (self.x_at.channels, self.y_at.channels);
        assert!(self.x_at.end(self.columns, &self.tiles, 4) <= self.x.len(), "the image");
        let written = self.y_at.end(self.columns, &self.tiles, 2);
        assert!(self.origin.checked_add(self.y.len()).is_some_and(|end| written <= end), "the output");
        assert!(self.y_at.tile(self.columns, self.tiles.start) >= self.origin, "the output begins too late");
        assert!(end(&[POINTS * inputs], &[self.pitch]) <= self.u.len() && padded(outputs) <= self.pitch, "weights");
        assert!(self.scratch.len() >= Self::room(inputs, outputs), "scratch");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let (inputs_, outputs) = (self.x_at.channels, self.y_at.channels);
        let mut first = self.tiles.start;
        while first < self.tiles.end {
            let tiles = first..self.tiles.end.min(first + TOGETHER);
            let count = tiles.len();
            let (v, m) = self.scratch.split_at_mut(POINTS * TOGETHER * inputs_);
            inputs::<S>(self.x.as_ptr(), &self.x_at, self.columns, &tiles, v.as_mut_ptr());
            let grid = Grid { pitch: self.pitch, ..Grid::product(count, inputs_, outputs) };
            for point in 0..POINTS {
                let x = &v[point * TOGETHER * inputs_..];
                let w = &self.u[point * inputs_ * self.pitch..];
                let y = &mut m[point * TOGETHER * outputs..];
                Contract { grid: &grid, x, w, y, rows: 0..1, origin: 0, add: false }.run::<S>();
            }
            let (m, y) = (m.as_ptr(), self.y.as_mut_ptr().wrapping_sub(self.origin));
            match outputs {
                16 => outputs_of::<S, 16>(m, y, &self.y_at, self.columns, &tiles, self.add),
                32 => outputs_of::<S, 32>(m, y, &self.y_at, self.columns, &tiles, self.add),
                64 => outputs_of::<S, 64>(m, y, &self.y_at, self.columns, &tiles, self.add),
                _ => outputs_of::<S, 0>(m, y, &self.y_at, self.columns, &tiles, self.add),
            }
            first += count;
        }
    }
}
