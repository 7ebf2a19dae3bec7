//! Moments of maps, piece by piece and put together.

use crate::kernel::norm::Moments;
use crate::kernel::{Float, Kernel};
use crate::model::fused::conv::rows_together;
use crate::model::fused::map::Sizes;

/// Means and sums of squared deviations, 2C numbers for each piece of a map.
pub struct PieceMoments {
    pub(super) sizes: Sizes,
    pub(super) sums: Vec<f64>,
}

/// Mean and sum of squared deviations of `count` values.
#[derive(Clone, Copy, Default)]
pub(super) struct Spread {
    count: f64,
    pub mean: f64,
    squares: f64,
}

impl Spread {
    /// Both together (Chan et al., 1979).
    pub fn and(self, other: Self) -> Self {
        let count = self.count + other.count;
        if self.count == 0.0 || count == 0.0 {
            return other;
        }
        let (apart, share) = (other.mean - self.mean, other.count / count);
        let squares = self.squares + other.squares + apart * apart * self.count * share;
        Self { count, mean: self.mean + apart * share, squares }
    }

    pub fn var(&self) -> f64 {
        self.squares / self.count
    }
}

impl PieceMoments {
    /// Room for the pieces of a map of those sizes.
    pub fn new(sizes: Sizes) -> Self {
        let pieces = sizes.n * sizes.h.div_ceil(rows_together(&sizes));
        Self { sizes, sums: vec![0.0; pieces * 2 * sizes.c] }
    }

    /// The places for each piece's numbers.
    pub fn places(&mut self) -> Vec<&mut [f64]> {
        self.sums.chunks_exact_mut(2 * self.sizes.c).collect()
    }

    /// Those of channel `c` in picture `n`.
    pub(super) fn picture(&self, n: usize, c: usize) -> Spread {
        let together = rows_together(&self.sizes);
        let pieces = self.sizes.h.div_ceil(together);
        let piece = |i: usize| {
            let rows = together.min(self.sizes.h - i * together);
            let sums = &self.sums[(n * pieces + i) * 2 * self.sizes.c..];
            Spread { count: (rows * self.sizes.w) as f64, mean: sums[c], squares: sums[self.sizes.c + c] }
        };
        (0..pieces).map(piece).fold(Spread::default(), Spread::and)
    }

    /// Those of channel `c` in the whole batch.
    pub(super) fn batch(&self, c: usize) -> Spread {
        (0..self.sizes.n).map(|n| self.picture(n, c)).fold(Spread::default(), Spread::and)
    }
}

/// Takes the moments of a piece of a map.
pub fn observe<T: Float>(z: &[T], channels: usize, out: &mut [f64]) {
    Moments { z, channels, out }.compute();
}
