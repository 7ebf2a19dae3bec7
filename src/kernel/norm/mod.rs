//! The kernels of normalization: moments, normalization with residual and ReLU, and the two passes of its gradient.
//!
//! All of them work on rows of pixels of C channels. Each operand has a row stride of its own, so that images with and
//! without padding are read and written in place. All channels of a row are processed before the next row, while the row
//! is in the cache.

mod gradient;
mod moments;
mod normalize;

use super::{Float, Simd, end};

pub(super) use self::gradient::GradientLanes;
pub use self::gradient::{Gradient, Reduce};
pub use self::moments::Moments;
pub use self::normalize::Normalize;

/// Rows of pixels.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Number of rows.
    pub rows: usize,
    /// Pixels per row.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

impl Rows {
    /// Row stride of contiguous rows.
    pub(super) fn step(&self) -> usize {
        self.pixels * self.channels
    }

    pub(super) fn check(&self, what: &str, len: usize, step: usize) {
        let needed = end(&[self.rows.saturating_sub(1), self.pixels], &[step, self.channels]);
        assert!(self.rows == 0 || needed <= len, "{what}: {needed} values needed, {len} given");
    }
}

/// Coefficients per channel of y = slope (z - mean) + shift.
#[derive(Debug, Clone, Copy)]
pub struct Coefficients<'a, T> {
    /// The mean that is subtracted.
    pub mean: &'a [T],
    /// gamma/s.
    pub slope: &'a [T],
    /// beta.
    pub shift: &'a [T],
}

/// The residual, added before the ReLU, and its row stride.
pub type Residual<'a, T> = Option<(&'a [T], usize)>;

/// The coefficients of one vector of channels.
#[derive(Clone, Copy)]
pub(super) struct CoefficientLanes<S: Simd> {
    pub mean: S::V,
    pub slope: S::V,
    pub shift: S::V,
}

impl<S: Simd> CoefficientLanes<S> {
    #[inline(always)]
    pub unsafe fn new(by: &Coefficients<S::T>, c: usize, n: usize) -> Self {
        let [mean, slope, shift] = [by.mean, by.slope, by.shift].map(|v| S::load_n(v[c..c + n].as_ptr(), n));
        Self { mean, slope, shift }
    }

    #[inline(always)]
    unsafe fn apply(&self, z: S::V) -> S::V {
        S::fma(S::sub(z, self.mean), self.slope, self.shift)
    }
}

/// What is summed over pixels. A trait, since a closure would not be compiled for its caller's instruction set.
pub(super) trait Terms<S: Simd, const K: usize> {
    unsafe fn at(&self, pixel: usize) -> [S::V; K];
}

/// Sums of K vectors over `count` pixels, in four partial sums each; the order of additions is fixed.
#[inline(always)]
pub(super) unsafe fn sums<S: Simd, const K: usize>(count: usize, terms: impl Terms<S, K>) -> [[S::T; 16]; K] {
    let mut parts = [[S::splat(S::T::ZERO); K]; 4];
    let mut p = 0;
    while p + 4 <= count {
        for (i, part) in parts.iter_mut().enumerate() {
            let values = terms.at(p + i);
            for (sum, &value) in part.iter_mut().zip(&values) {
                *sum = S::add(*sum, value);
            }
        }
        p += 4;
    }
    while p < count {
        let values = terms.at(p);
        for (sum, &value) in parts[0].iter_mut().zip(&values) {
            *sum = S::add(*sum, value);
        }
        p += 1;
    }
    let mut out = [[S::T::ZERO; 16]; K];
    for (k, out) in out.iter_mut().enumerate() {
        let sum = S::add(S::add(parts[0][k], parts[1][k]), S::add(parts[2][k], parts[3][k]));
        S::store(out.as_mut_ptr(), sum);
    }
    out
}
