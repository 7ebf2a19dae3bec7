//! Convolution of tiles.

use std::ops::Range;

use super::tiles::{TOGETHER, inputs, outputs_of};
use super::{Layout, POINTS};
use crate::kernel::contract::{Contract, Grid, padded};
use crate::kernel::{Float, Kernel, Simd, end};

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
    /// [`super::Weights`]' result, rows of `pitch`.
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
        let (cin, outputs) = (self.x_at.channels, self.y_at.channels);
        let mut first = self.tiles.start;
        while first < self.tiles.end {
            let tiles = first..self.tiles.end.min(first + TOGETHER);
            let count = tiles.len();
            let (v, m) = self.scratch.split_at_mut(POINTS * TOGETHER * cin);
            inputs::<S>(self.x.as_ptr(), &self.x_at, self.columns, &tiles, v.as_mut_ptr());
            let grid = Grid { pitch: self.pitch, ..Grid::product(count, cin, outputs) };
            for point in 0..POINTS {
                let x = &v[point * TOGETHER * cin..];
                let w = &self.u[point * cin * self.pitch..];
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
