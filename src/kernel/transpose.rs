//! The kernel of transposition: `to[j,i] = from[i,j]`, in blocks of 8 x 8.

use super::simd::Square;
use super::{Float, Kernel, Simd, end};

/// Rows and columns of a block.
const SIDE: usize = 8;

/// Columns below which elements are better moved one by one.
const LEAST: usize = 3;

/// A matrix, and where its transpose goes.
pub struct Transpose<'a, T> {
    /// The matrix, in row-major order.
    pub from: &'a [T],
    /// Its row stride.
    pub from_step: usize,
    /// Rows and columns of `from`.
    pub size: [usize; 2],
    /// The transpose, in row-major order.
    pub to: &'a mut [T],
    /// Its row stride.
    pub to_step: usize,
}

impl<T: Float> Kernel<T> for Transpose<'_, T> {
    fn check(&self) {
        let [rows, columns] = self.size;
        if rows == 0 || columns == 0 {
            return;
        }
        assert!(end(&[rows - 1, 1], &[self.from_step, columns]) <= self.from.len(), "the matrix");
        assert!(end(&[columns - 1, 1], &[self.to_step, rows]) <= self.to.len(), "its transpose");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(mut self) {
        let [rows, columns] = self.size;
        let whole = rows - rows % SIDE;
        for i in (0..whole).step_by(SIDE) {
            for j in (0..columns).step_by(SIDE) {
                match SIDE.min(columns - j) {
                    n if n < LEAST => self.one_by_one(i..i + SIDE, j..j + n),
                    n => self.square::<S::Short>(i, j, n),
                }
            }
        }
        self.one_by_one(whole..rows, 0..columns);
    }
}

impl<T: Float> Transpose<'_, T> {
    /// A block of eight rows and `n` columns.
    #[inline(always)]
    unsafe fn square<S: Square<T = T>>(&mut self, i: usize, j: usize, n: usize) {
        let from = self.from.as_ptr().add(i * self.from_step + j);
        let to = self.to.as_mut_ptr().add(j * self.to_step + i);
        let mut rows = [S::splat(T::ZERO); SIDE];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = S::load_n(from.add(i * self.from_step), n);
        }
        let columns = S::transpose(rows);
        for (j, &column) in columns.iter().enumerate().take(n) {
            S::store(to.add(j * self.to_step), column);
        }
    }

    #[inline(always)]
    fn one_by_one(&mut self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) {
        for j in columns {
            for i in rows.clone() {
                self.to[j * self.to_step + i] = self.from[i * self.from_step + j];
            }
        }
    }
}
