//! The transformed weights.

use super::filtering::{F2, F4, Filtering, SIDE};
use super::{Tile, point_step};
use crate::kernel::{Float, Kernel, Simd, end};

/// G g Gᵀ of all kernels: from (tap, input channel) to (point, input channel), in rows of `pitch` output channels.
pub struct Weights<'a, T> {
    /// Size of the tiles they are for.
    pub tile: Tile,
    /// The weights of a direct convolution.
    pub w: &'a [T],
    /// Input channels.
    pub inputs: usize,
    /// Row stride, a multiple of every vector length.
    pub pitch: usize,
    /// The result, at least [`Self::room`] values.
    pub u: &'a mut [T],
}

impl<T: Float> Weights<'_, T> {
    /// Values the transformed weights take, with the gaps between points.
    pub fn room(tile: Tile, inputs: usize, pitch: usize) -> usize {
        tile.points().saturating_mul(point_step(inputs.saturating_mul(pitch)))
    }

    #[inline(always)]
    unsafe fn transform<S: Simd<T = T>, F: Filtering>(self) {
        let row = self.inputs * self.pitch;
        let step = point_step(row);
        for at in (0..row).step_by(S::LANES) {
            let mut g = [[S::splat(T::ZERO); 3]; 3];
            for (tap, g) in g.as_flattened_mut().iter_mut().enumerate() {
                *g = S::load(self.w.as_ptr().add(tap * row + at));
            }
            let mut half = [[S::splat(T::ZERO); 3]; SIDE];
            for j in 0..3 {
                let column = F::weights::<S>([g[0][j], g[1][j], g[2][j]]);
                (0..F::IN).for_each(|i| half[i][j] = column[i]);
            }
            for i in 0..F::IN {
                let u = F::weights::<S>(half[i]);
                for j in 0..F::IN {
                    S::store(self.u.as_mut_ptr().add((F::IN * i + j) * step + at), u[j]);
                }
            }
        }
    }
}

impl<T: Float> Kernel<T> for Weights<'_, T> {
    fn check(&self) {
        let taps = end(&[9], &[self.inputs.saturating_mul(self.pitch)]);
        let room = Self::room(self.tile, self.inputs, self.pitch);
        assert!(taps <= self.w.len() && room <= self.u.len(), "weights");
        assert_eq!(self.pitch % 16, 0, "whole vectors");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        match self.tile {
            Tile::F2 => self.transform::<S, F2>(),
            Tile::F4 => self.transform::<S, F4>(),
        }
    }
}
