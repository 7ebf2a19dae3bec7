//! Convolution, tile by tile.

use std::ops::Range;

use super::filtering::{F2, F4, Filtering};
use super::tiles::{TOGETHER, inputs, outputs};
use super::{Layout, Tile, Weights, point_step};
use crate::kernel::contract::{Contract, Grid, padded};
use crate::kernel::{Float, Kernel, Simd};

/// The convolution on consecutive tiles of one image: y = conv(x), or y += conv(x) with `add`.
pub struct Convolve<'a, T> {
    /// Size of the tiles.
    pub tile: Tile,
    /// Tiles per row.
    pub columns: usize,
    /// Which tiles to compute: whole rows of them.
    pub tiles: Range<usize>,
    /// The image, with its padding.
    pub x: &'a [T],
    /// Layout of `x`.
    pub x_at: Layout,
    /// The result of [`Weights`] for tiles of this size, rows `pitch` apart.
    pub u: &'a [T],
    /// Row stride of the weights.
    pub pitch: usize,
    /// The output, from the first row of the first tile on.
    pub y: &'a mut [T],
    /// Layout of the whole output.
    pub y_at: Layout,
    /// Offset of `y` in the whole output.
    pub origin: usize,
    /// Whether to add to the output instead of overwriting it.
    pub add: bool,
    /// Scratch memory of at least [`Self::room`] values.
    pub scratch: &'a mut [T],
}

impl<T: Float> Convolve<'_, T> {
    /// Values of scratch memory a convolution needs.
    pub fn room(tile: Tile, inputs: usize, outputs: usize) -> usize {
        tile.points() * (point_step(TOGETHER * inputs) + point_step(TOGETHER * outputs))
    }

    #[inline(always)]
    unsafe fn convolve<S: Simd<T = T>, F: Filtering>(self) {
        let (cin, cout, points) = (self.x_at.channels, self.y_at.channels, F::IN * F::IN);
        let (v_step, u_step) = (point_step(TOGETHER * cin), point_step(cin * self.pitch));
        let m_step = point_step(TOGETHER * cout);
        let mut first = self.tiles.start;
        while first < self.tiles.end {
            let tiles = first..self.tiles.end.min(first + TOGETHER);
            let (v, m) = self.scratch.split_at_mut(points * v_step);
            inputs::<S, F>(self.x.as_ptr(), &self.x_at, self.columns, &tiles, v.as_mut_ptr());
            let grid = Grid { pitch: self.pitch, ..Grid::product(tiles.len(), cin, cout) };
            for point in 0..points {
                let (x, w, y) = (&v[point * v_step..], &self.u[point * u_step..], &mut m[point * m_step..]);
                Contract { grid: &grid, x, w, y, rows: 0..1, origin: 0, add: false }.run::<S>();
            }
            let y = self.y.as_mut_ptr().wrapping_sub(self.origin);
            outputs::<S, F>(m.as_ptr(), y, &self.y_at, self.columns, &tiles, self.add);
            first = tiles.end;
        }
    }
}

impl<T: Float> Kernel<T> for Convolve<'_, T> {
    fn check(&self) {
        if self.tiles.is_empty() {
            return;
        }
        // In whole rows, the first and the last tile are also those that reach farthest.
        assert!([self.tiles.start, self.tiles.end].iter().all(|tile| tile.is_multiple_of(self.columns)), "whole rows");
        let (inputs, outputs, side) = (self.x_at.channels, self.y_at.channels, self.tile.outputs());
        assert!(self.x_at.end(side, self.columns, &self.tiles, 2) <= self.x.len(), "the image");
        let written = self.y_at.end(side, self.columns, &self.tiles, 0);
        assert!(self.origin.checked_add(self.y.len()).is_some_and(|end| written <= end), "the output");
        assert!(self.y_at.tile(side, self.columns, self.tiles.start) >= self.origin, "the output begins too late");
        let weights = Weights::<T>::room(self.tile, inputs, self.pitch);
        assert!(weights <= self.u.len() && padded(outputs) <= self.pitch, "weights");
        assert!(self.scratch.len() >= Self::room(self.tile, inputs, outputs), "scratch");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        match self.tile {
            Tile::F2 => self.convolve::<S, F2>(),
            Tile::F4 => self.convolve::<S, F4>(),
        }
    }
}
