//! The kernel of weight gradients: `w[i,j] += Σ_p g[p,i] x[p,j]`, output gradients times inputs, summed over pixels.
//!
//! A tile of i times j stays in registers during the sum over all pixels.

use super::{Float, Kernel, Simd, end};

/// Where pixel (image n, row y, column x) of an operand lies: `first + n·image + y·row + x·column`.
#[derive(Debug, Clone, Copy)]
pub struct Pixels {
    /// Offset of the first pixel.
    pub first: usize,
    /// Strides to the next image, row and column.
    pub steps: [usize; 3],
}

impl Pixels {
    /// The end of the last of `count` pixels (images, rows, columns) of `values` values each.
    fn end(&self, count: [usize; 3], values: usize) -> usize {
        end(&count.map(|count| count - 1), &self.steps).saturating_add(end(&[1, 1], &[self.first, values]))
    }
}

/// One block of a weight gradient.
pub struct Outer<'a, T> {
    /// Images, rows and columns of pixels to sum over.
    pub count: [usize; 3],
    /// Gradients with respect to the output, `i` values per pixel.
    pub g: &'a [T],
    /// Layout of `g`.
    pub g_at: Pixels,
    /// The input, `j` values per pixel.
    pub x: &'a [T],
    /// Layout of `x`.
    pub x_at: Pixels,
    /// The result: `i` rows of `j` values, `pitch` apart.
    pub w: &'a mut [T],
    /// Rows and columns of the result.
    pub size: [usize; 2],
    /// Row stride of the result.
    pub pitch: usize,
    /// Whether to add to the result instead of overwriting it.
    pub add: bool,
}

impl<T: Float> Kernel<T> for Outer<'_, T> {
    fn check(&self) {
        let [rows, columns] = self.size;
        if rows == 0 || columns == 0 {
            return;
        }
        assert!(end(&[rows - 1, 1], &[self.pitch, columns]) <= self.w.len(), "the result");
        if !self.count.contains(&0) {
            assert!(self.g_at.end(self.count, rows) <= self.g.len(), "gradients");
            assert!(self.x_at.end(self.count, columns) <= self.x.len(), "inputs");
        }
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(mut self) {
        let [rows, columns] = self.size;
        if self.count.contains(&0) {
            if !self.add && columns > 0 {
                self.w.chunks_mut(self.pitch).take(rows).for_each(|row| row[..columns].fill(T::ZERO));
            }
            return;
        }
        let mut j = 0;
        while j < columns {
            let rest = columns - j;
            j += match S::vectors(rest, 3) {
                0 => self.columns::<S::Short>(j, rest, 1),
                vectors => self.columns::<S>(j, rest, vectors),
            };
        }
    }
}

impl<T: Float> Outer<'_, T> {
    /// All rows of the columns from `j` on, at most `vectors` vectors and `rest` columns of them; returns how many columns
    /// that were.
    #[inline(always)]
    unsafe fn columns<S: Simd<T = T>>(&mut self, j: usize, rest: usize, vectors: usize) -> usize {
        let mut i = 0;
        // The tile: as many rows as leave the accumulators in registers.
        let vectors = match (vectors, S::TILE) {
            (3.., 16) => {
                i = self.rows_of::<S, 8, 3>(i, j);
                i = self.rows_of::<S, 4, 3>(i, j);
                i = self.rows_of::<S, 2, 3>(i, j);
                self.rows_of::<S, 1, 3>(i, j);
                3
            }
            (2.., 16) => {
                i = self.rows_of::<S, 8, 2>(i, j);
                i = self.rows_of::<S, 4, 2>(i, j);
                self.rows_of::<S, 1, 2>(i, j);
                2
            }
            (2.., 8) => {
                i = self.rows_of::<S, 4, 2>(i, j);
                self.rows_of::<S, 1, 2>(i, j);
                2
            }
            (_, tile) => {
                if tile == 16 {
                    i = self.rows_of::<S, 16, 1>(i, j);
                }
                if tile >= 8 {
                    i = self.rows_of::<S, 8, 1>(i, j);
                }
                i = self.rows_of::<S, 4, 1>(i, j);
                self.rows_of::<S, 1, 1>(i, j);
                1
            }
        };
        rest.min(vectors * S::LANES)
    }

    /// As many blocks of I rows as fit from row `i` on; returns the row after them.
    #[inline(always)]
    unsafe fn rows_of<S: Simd<T = T>, const I: usize, const V: usize>(&mut self, mut i: usize, j: usize) -> usize {
        while i + I <= self.size[0] {
            self.block::<S, I, V>(i, j);
            i += I;
        }
        i
    }

    #[inline(always)]
    unsafe fn block<S: Simd<T = T>, const I: usize, const V: usize>(&mut self, i: usize, j: usize) {
        // Columns in the last vector; nothing beyond `size` is read or written.
        let rest = (self.size[1] - j).min(V * S::LANES) - (V - 1) * S::LANES;
        let part = |v: usize| if v + 1 == V { rest } else { S::LANES };
        let out = self.w.as_mut_ptr().add(i * self.pitch + j);
        let mut sums = [[S::splat(T::ZERO); V]; I];
        if self.add {
            for (i, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = S::load_n(out.add(i * self.pitch + v * S::LANES), part(v));
                }
            }
        }
        let [images, rows, columns] = self.count;
        let (g, x) = (self.g.as_ptr().add(self.g_at.first + i), self.x.as_ptr().add(self.x_at.first + j));
        let ([gn, gy, gx], [xn, xy, xx]) = (self.g_at.steps, self.x_at.steps);
        for n in 0..images {
            for y in 0..rows {
                let (mut g, mut x) = (g.add(n * gn + y * gy), x.add(n * xn + y * xy));
                for _ in 0..columns {
                    let seen: [S::V; V] = std::array::from_fn(|v| {
                        if v + 1 == V { S::load_n(x.add(v * S::LANES), rest) } else { S::load(x.add(v * S::LANES)) }
                    });
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let g = S::splat(*g.add(i));
                        for (sum, &seen) in sums.iter_mut().zip(&seen) {
                            *sum = S::fma(g, seen, *sum);
                        }
                    }
                    g = g.add(gx);
                    x = x.add(xx);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                S::store_n(out.add(i * self.pitch + v * S::LANES), sum, part(v));
            }
        }
    }
}
