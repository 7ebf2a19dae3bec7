//! The transformed weights.

use candle_core::WithDType;

use super::POINTS;
use crate::kernel::{Float, Kernel, Simd, end};

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
