//! The kernel of linear layers: `out[i,j] = Σ_k a[i,k] b[j,k]`, both operands in row-major order, no packing.

use super::{Float, Kernel, Simd};

/// All products of rows of `a` with rows of `b`.
pub struct Dot<'a, T> {
    /// Rows of `len` values.
    pub a: &'a [T],
    /// Rows of `len` values.
    pub b: &'a [T],
    /// Values of a row.
    pub len: usize,
    /// The products: a row per row of `a`, a column per row of `b`.
    pub out: &'a mut [T],
}

impl<T: Float> Kernel<T> for Dot<'_, T> {
    fn check(&self) {
        let (rows, columns) = (self.a.len() / self.len, self.b.len() / self.len);
        assert!(self.a.len() == rows * self.len && self.b.len() == columns * self.len, "whole rows");
        assert_eq!(self.out.len(), rows.saturating_mul(columns), "a result per pair of rows");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(mut self) {
        let (rows, columns) = (self.a.len() / self.len, self.b.len() / self.len);
        let mut i = 0;
        while i < rows {
            let tall = i + 4 <= rows;
            let mut j = 0;
            while j < columns {
                let wide = j + 4 <= columns && S::TILE == 16;
                let pair = j + 2 <= columns;
                match (tall, wide, pair) {
                    (true, true, _) => self.block::<S, 4, 4>(i, j),
                    (true, _, true) => self.block::<S, 4, 2>(i, j),
                    (true, ..) => self.block::<S, 4, 1>(i, j),
                    (false, true, _) => self.block::<S, 1, 4>(i, j),
                    (false, _, true) => self.block::<S, 1, 2>(i, j),
                    (false, ..) => self.block::<S, 1, 1>(i, j),
                }
                j += if wide { 4 } else { 1 + usize::from(pair) };
            }
            i += if tall { 4 } else { 1 };
        }
    }
}

impl<T: Float> Dot<'_, T> {
    #[inline(always)]
    unsafe fn block<S: Simd<T = T>, const I: usize, const J: usize>(&mut self, i: usize, j: usize) {
        let columns = self.b.len() / self.len;
        let (a, b) = (self.a.as_ptr().add(i * self.len), self.b.as_ptr().add(j * self.len));
        let mut sums = [[S::splat(T::ZERO); J]; I];
        let whole = self.len - self.len % S::LANES;
        for k in (0..self.len).step_by(S::LANES) {
            let n = if k < whole { S::LANES } else { self.len - whole };
            let bs: [S::V; J] = std::array::from_fn(|j| S::load_n(b.add(j * self.len + k), n));
            for (i, sums) in sums.iter_mut().enumerate() {
                let a = S::load_n(a.add(i * self.len + k), n);
                for (sum, &b) in sums.iter_mut().zip(&bs) {
                    *sum = S::fma(a, b, *sum);
                }
            }
        }
        for (di, sums) in sums.iter().enumerate() {
            for (dj, &sum) in sums.iter().enumerate() {
                self.out[(i + di) * columns + j + dj] = S::sum(sum);
            }
        }
    }
}
