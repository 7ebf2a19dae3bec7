//! Moments of maps, by pieces and combined.

use std::ops::Range;

use candle_core::Result;

use super::tensor;
use crate::kernel::norm::Moments as MomentsKernel;
use crate::kernel::{Float, Kernel};
use crate::model::fused::conv::rows_together;
use crate::model::fused::parallel::{Work, parallel};
use crate::model::fused::{Map, Sizes};
use crate::ops::{Granularity, Moments};

/// Means and sums of squared deviations, 2C numbers for each piece of a map.
pub struct PieceMoments {
    pub(super) sizes: Sizes,
    pub(super) sums: Vec<f64>,
}

/// Mean and sum of squared deviations of `count` values per channel.
struct Spreads {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Spreads {
    fn new(channels: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    /// Adds those of `count` more values per channel (Chan et al., 1979).
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

    fn var(&self) -> Vec<f64> {
        self.squares.iter().map(|squares| squares / self.count).collect()
    }
}

impl PieceMoments {
    /// Room for the pieces of a map of those sizes.
    pub fn new(sizes: Sizes) -> Self {
        let pieces = sizes.n * sizes.h.div_ceil(rows_together(&sizes));
        Self { sizes, sums: vec![0.0; pieces * 2 * sizes.c] }
    }

    /// The slots for each piece's numbers.
    pub fn places(&mut self) -> Vec<&mut [f64]> {
        self.sums.chunks_exact_mut(2 * self.sizes.c).collect()
    }

    /// The combined moments, as a normalizer takes them.
    pub(super) fn tensors<T: Float>(&self, per: Granularity) -> Result<Moments> {
        let n = self.sizes.n;
        let (mut mean, mut var) = (vec![], vec![]);
        let (parts, each) = match per {
            Granularity::Channel => (1, n),
            Granularity::Image => (n, 1),
        };
        for part in 0..parts {
            let spreads = self.of(part * each..(part + 1) * each);
            mean.extend_from_slice(&spreads.mean);
            var.extend(spreads.var());
        }
        Ok(Moments { mean: tensor::<T>(&mean, &self.sizes, per)?, var: tensor::<T>(&var, &self.sizes, per)? })
    }

    /// The combined moments of some images.
    fn of(&self, images: Range<usize>) -> Spreads {
        let Sizes { h, w, c, .. } = self.sizes;
        let together = rows_together(&self.sizes);
        let pieces = h.div_ceil(together);
        let mut spreads = Spreads::new(c);
        for (i, sums) in self.sums.chunks_exact(2 * c).enumerate().take(images.end * pieces).skip(images.start * pieces)
        {
            let rows = together.min(h - i % pieces * together);
            let (mean, squares) = sums.split_at(c);
            spreads.add((rows * w) as f64, mean, squares);
        }
        spreads
    }
}

/// The moments of a map without border; with `wanted` unset, room for them.
pub fn observe_all<T: Float>(z: &Map<T>, wanted: bool) -> PieceMoments {
    let sizes = z.sizes;
    let mut seen = PieceMoments::new(sizes);
    if wanted {
        let tasks = sizes.cuts(rows_together(&sizes)).into_iter().zip(seen.places()).collect();
        parallel(Work::Values(z.values().len()), tasks, |_, ((n, rows), out)| {
            observe(&z.values()[sizes.at(n, rows.start)..][..rows.len() * sizes.row()], sizes.c, out);
        });
    }
    seen
}

/// Takes the moments of a piece of a map.
pub fn observe<T: Float>(z: &[T], channels: usize, out: &mut [f64]) {
    MomentsKernel { z, channels, out }.compute();
}
