//! The kernel of convolutions and their input gradients: `y[p] += Σ_k x[p,k] w[k]`, pixels times weights to channels.
//!
//! A tile of pixels times channels stays in registers while k advances. The range of k is a list of segments, each
//! contiguous in the image: with channels last, one segment per kernel row covers its columns and channels.

use super::{Float, Kernel, Simd, end};

/// One contiguous run of inputs, and the rows of the weights it is multiplied by.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// Offset in the image, relative to the pixel.
    pub x: usize,
    /// First row of the weights.
    pub w: usize,
}

/// A grid of output pixels, all with the same segments.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Values per segment.
    pub len: usize,
    /// The segments.
    pub segments: Vec<Segment>,
    /// Rows and columns of output pixels.
    pub size: [usize; 2],
    /// Offset of the first input of the first pixel, and the strides to the next row and the next column of pixels.
    pub x: [usize; 3],
    /// The same for the output: offset of the first pixel, strides of rows and columns.
    pub y: [usize; 3],
    /// Output channels.
    pub channels: usize,
    /// Row stride of the weights: `channels`, rounded up to whole vectors ([`padded`]).
    pub pitch: usize,
}

impl Grid {
    /// A matrix product: (`rows`, `len`) times (`len`, `channels`).
    pub fn product(rows: usize, len: usize, channels: usize) -> Self {
        Self {
            len,
            segments: vec![Segment { x: 0, w: 0 }],
            size: [1, rows],
            x: [0, 0, len],
            y: [0, 0, channels],
            channels,
            pitch: padded(channels),
        }
    }
}

/// `channels` rounded up so that every instruction set reads whole vectors of weights.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(16)
}

/// Some rows of a grid, on one image. With `add`, results are added to the output instead of overwriting it, and the
/// outputs of different pixels may overlap.
pub struct Contract<'a, T> {
    /// The grid.
    pub grid: &'a Grid,
    /// The image.
    pub x: &'a [T],
    /// The weights, rows `pitch` apart.
    pub w: &'a [T],
    /// The output, from the first of `rows` on.
    pub y: &'a mut [T],
    /// Rows of the grid to compute.
    pub rows: std::ops::Range<usize>,
    /// Offset of `y` in the whole output.
    pub origin: usize,
    /// Whether to add to the output instead of overwriting it.
    pub add: bool,
}

impl<T: Float> Kernel<T> for Contract<'_, T> {
    fn check(&self) {
        if self.is_empty() {
            return;
        }
        let g = self.grid;
        let (x, w) = g.segments.iter().fold((0, 0), |(x, w), run| (x.max(run.x), w.max(run.w)));
        let seen = end(&[1, self.rows.end - 1, g.size[1] - 1, 1, 1], &[g.x[0], g.x[1], g.x[2], x, g.len]);
        let written = end(&[1, self.rows.end - 1, g.size[1] - 1, 1], &[g.y[0], g.y[1], g.y[2], g.channels]);
        assert!(self.rows.end <= g.size[0], "rows of the grid");
        assert!(g.segments.is_empty() || seen <= self.x.len(), "the image");
        let weights = end(&[w, g.len], &[g.pitch, g.pitch]);
        assert!(g.segments.is_empty() || weights <= self.w.len() && padded(g.channels) <= g.pitch, "weights");
        assert!(end(&[1, self.rows.start], &[g.y[0], g.y[1]]) >= self.origin, "the output begins too late");
        assert!(self.origin.checked_add(self.y.len()).is_some_and(|end| written <= end), "the output");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(mut self) {
        if self.is_empty() {
            return;
        }
        let channels = self.grid.channels;
        let mut c = 0;
        while c < channels {
            let rest = channels - c;
            c += match S::vectors(rest, 2) {
                0 => self.columns::<S::Short>(c, rest),
                1 => self.columns::<S>(c, rest.min(S::LANES)),
                _ => self.columns::<S>(c, rest.min(2 * S::LANES)),
            };
        }
    }
}

impl<T: Float> Contract<'_, T> {
    /// Whether there is no pixel to compute.
    fn is_empty(&self) -> bool {
        self.rows.is_empty() || self.grid.size[1] == 0
    }

    /// Computes the `count` channels from `c` on, at most two vectors of them, and returns `count`.
    #[inline(always)]
    unsafe fn columns<S: Simd<T = T>>(&mut self, c: usize, count: usize) -> usize {
        let g = self.grid;
        let tile = Tile::<S> {
            segments: &g.segments,
            len: g.len,
            w: self.w.as_ptr().add(c),
            pitch: g.pitch,
            step: g.x[2],
            y_step: g.y[2],
            rest: count,
            add: self.add,
        };
        for row in self.rows.clone() {
            let x = self.x.as_ptr().add(g.x[0] + row * g.x[1]);
            let y = self.y.as_mut_ptr().add(g.y[0] + row * g.y[1] + c - self.origin);
            match (count > S::LANES, S::TILE) {
                (true, 16) => tile.row::<8, 2>(x, y, g.size[1]),
                (true, 8) => tile.row::<4, 2>(x, y, g.size[1]),
                (true, _) => tile.row::<2, 2>(x, y, g.size[1]),
                (false, 16) if g.x[2] == 16 && g.size[1].is_multiple_of(16) => tile.row_of_16(x, y, g.size[1]),
                (false, 16 | 8) => tile.row::<8, 1>(x, y, g.size[1]),
                (false, _) => tile.row::<4, 1>(x, y, g.size[1]),
            }
        }
        count
    }
}

/// What the blocks of a tile share.
struct Tile<'a, S: Simd> {
    segments: &'a [Segment],
    len: usize,
    w: *const S::T,
    pitch: usize,
    /// Stride from one pixel's inputs to the next pixel's.
    step: usize,
    y_step: usize,
    /// Channels to write.
    rest: usize,
    add: bool,
}

impl<S: Simd> Tile<'_, S> {
    /// A row of `pixels`: P at a time, then the remainder.
    #[inline(always)]
    unsafe fn row<const P: usize, const V: usize>(&self, x: *const S::T, y: *mut S::T, pixels: usize) {
        let mut p = 0;
        while p + P <= pixels {
            self.block::<P, V>(x.add(p * self.step), y.add(p * self.y_step), self.step);
            p += P;
        }
        if P > 4 && p + 4 <= pixels {
            self.block::<4, V>(x.add(p * self.step), y.add(p * self.y_step), self.step);
            p += 4;
        }
        if p + 2 <= pixels {
            self.block::<2, V>(x.add(p * self.step), y.add(p * self.y_step), self.step);
            p += 2;
        }
        while p < pixels {
            self.block::<1, V>(x.add(p * self.step), y.add(p * self.y_step), self.step);
            p += 1;
        }
    }

    /// [`Self::row`] for the most common narrow layer: 16 pixels of 16 channels. The constant stride saves the compiler
    /// the registers it would otherwise need for addresses.
    #[inline(always)]
    unsafe fn row_of_16(&self, x: *const S::T, y: *mut S::T, pixels: usize) {
        for p in (0..pixels).step_by(16) {
            self.block::<16, 1>(x.add(p * 16), y.add(p * self.y_step), 16);
        }
    }

    #[inline(always)]
    unsafe fn block<const P: usize, const V: usize>(&self, x: *const S::T, y: *mut S::T, step: usize) {
        let mut sums = [[S::splat(S::T::ZERO); V]; P];
        for run in self.segments {
            let mut w = self.w.add(run.w * self.pitch);
            let mut x = x.add(run.x);
            for _ in 0..self.len {
                let weights: [S::V; V] = std::array::from_fn(|v| S::load(w.add(v * S::LANES)));
                for (p, sums) in sums.iter_mut().enumerate() {
                    let value = S::splat(*x.add(p * step));
                    for (sum, &weight) in sums.iter_mut().zip(&weights) {
                        *sum = S::fma(value, weight, *sum);
                    }
                }
                w = w.add(self.pitch);
                x = x.add(1);
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let (y, n) = (y.add(p * self.y_step + v * S::LANES), self.rest - v * S::LANES);
                // Pixel by pixel: with `add`, outputs may overlap.
                S::store_n(y, if self.add { S::add(S::load_n(y, n), sum) } else { sum }, n);
            }
        }
    }
}
