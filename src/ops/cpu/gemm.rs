//! Matrix product on slices with strides, on the calling thread.

use super::Real;

/// A matrix inside a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    pub values: &'a [T],
    pub rows: usize,
    pub columns: usize,
    /// From one row to the next, in elements.
    pub row_stride: usize,
    /// From one column to the next, in elements.
    pub column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Row after row, each `row_stride` elements from the last.
    pub fn new(values: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose, in place.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out = lhs rhs`, or `out += lhs rhs` if `add`; the rows of `out` lie `row_stride` elements apart.
///
/// # Panics
///
/// If the sizes disagree or a matrix reaches beyond its slice, which is what makes it safe.
pub(super) fn gemm<T: Real>(out: &mut [T], row_stride: usize, add: bool, lhs: Matrix<T>, rhs: Matrix<T>) {
    let (m, n, k) = (lhs.rows, rhs.columns, lhs.columns);
    let inside = |len: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize| {
        rows == 0 || columns == 0 || (rows - 1) * row_stride + (columns - 1) * column_stride < len
    };
    assert_eq!(k, rhs.rows, "inner dimensions of a matrix product");
    assert!(inside(lhs.values.len(), m, k, lhs.row_stride, lhs.column_stride), "left operand");
    assert!(inside(rhs.values.len(), k, n, rhs.row_stride, rhs.column_stride), "right operand");
    assert!(inside(out.len(), m, n, row_stride, 1) && (n <= row_stride || m <= 1), "result");
    // SAFETY: all three matrices lie inside their slices (asserted above), `out` is exclusive and its rows do not
    // overlap. T is f32 or f64, both of which the crate implements.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            row_stride as isize,
            add,
            lhs.values.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.values.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
