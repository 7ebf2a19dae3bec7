//! Moments of maps, piece by piece and put together.

use std::ops::Range;

use crate::kernel::norm::Moments;
use crate::kernel::{Float, Kernel};
use crate::model::fused::conv::rows_together;
use crate::model::fused::map::Sizes;

/// Means and sums of squared deviations, 2C numbers for each piece of a map.
pub struct PieceMoments {
    pub(super) sizes: Sizes,
    pub(super) sums: Vec<f64>,
}

/// Per channel, mean and sum of squared deviations of `count` values.
pub(super) struct Spreads {
    count: f64,
    pub mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Spreads {
    fn new(channels: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    /// Adds those of `count` values more per channel (Chan et al., 1979).
    fn add(&mut self, count: f64, mean: &[f64], squares: &[f64]) {
        let share = count / (self.count + count);
        let weight = self.count * share;
        let own = self.mean.iter_mut().zip(&mut self.squares);
        for ((own_mean, own_squares), (mean, squares)) in own.zip(mean.iter().zip(squares)) {
            let apart = mean - *own_mean;
            *own_squares += squares + apart * apart * weight;
            *own_mean += apart * share;
        }
        self.count += count;
    }

    pub fn var(&self) -> Vec<f64> {
        self.squares.iter().map(|squares| squares / self.count).collect()
    }

    /// Mean and variance of some channels together.
    pub fn together(&self, channels: Range<usize>) -> (f64, f64) {
        let mut one = Self::new(1);
        for c in channels {
            one.add(self.count, &self.mean[c..=c], &self.squares[c..=c]);
        }
        (one.mean[0], one.squares[0] / one.count)
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

    /// Those of some pictures.
    pub(super) fn of(&self, pictures: Range<usize>) -> Spreads {
        let Sizes { h, w, c, .. } = self.sizes;
        let together = rows_together(&self.sizes);
        let pieces = h.div_ceil(together);
        let mut spreads = Spreads::new(c);
        for (i, sums) in
            self.sums.chunks_exact(2 * c).enumerate().take(pictures.end * pieces).skip(pictures.start * pieces)
        {
            let rows = together.min(h - i % pieces * together);
            let (mean, squares) = sums.split_at(c);
            spreads.add((rows * w) as f64, mean, squares);
        }
        spreads
    }
}

/// Takes the moments of a piece of a map.
pub fn observe<T: Float>(z: &[T], channels: usize, out: &mut [f64]) {
    Moments { z, channels, out }.compute();
}
