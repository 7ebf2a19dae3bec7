//! The matrices of the transforms, in f64.

use mbn::kernel::winograd::Tile;

/// Rows of numbers.
pub type Matrix = Vec<Vec<f64>>;

/// The transforms of a tile, from their points: 0, ±1 and infinity; 0, ±5/8, ±3/2 and infinity.
pub struct Matrices {
    pub g: Matrix,
    pub b: Matrix,
    pub a: Matrix,
    /// Roundings of a term in each of them, both axes together.
    pub roundings: [usize; 3],
}

impl Matrices {
    pub fn of(tile: Tile) -> Self {
        match tile {
            // By axis: two sums, halves being exact; one sum; two sums.
            Tile::F2 => Self {
                g: rows([[1., 0., 0.], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0., 0., 1.]]),
                b: rows([[1., 0., -1., 0.], [0., 1., 1., 0.], [0., -1., 1., 0.], [0., 1., 0., -1.]]),
                a: rows([[1., 1., 1., 0.], [0., 1., -1., -1.]]),
                roundings: [4, 2, 4],
            },
            // By axis: a factor that is rounded, its product, two sums; two products, two sums, the same.
            Tile::F4 => {
                let [p, q]: [f64; 2] = [5. / 8., 3. / 2.];
                let [pp, qq, product, sum] = [p * p, q * q, p * p * q * q, p * p + q * q];
                let [u, v] = [(p, qq), (q, pp)].map(|(x, other)| 1. / (2. * x * x * (x * x - other)));
                Self {
                    g: rows([
                        [1. / product, 0., 0.],
                        [u, u * p, u * pp],
                        [u, -u * p, u * pp],
                        [v, v * q, v * qq],
                        [v, -v * q, v * qq],
                        [0., 0., 1.],
                    ]),
                    b: rows([
                        [product, 0., -sum, 0., 1., 0.],
                        [0., -p * qq, -qq, p, 1., 0.],
                        [0., p * qq, -qq, -p, 1., 0.],
                        [0., -q * pp, -pp, q, 1., 0.],
                        [0., q * pp, -pp, -q, 1., 0.],
                        [0., product, 0., -sum, 0., 1.],
                    ]),
                    a: rows([
                        [1., 1., 1., 1., 1., 0.],
                        [0., p, -p, q, -q, 0.],
                        [0., pp, pp, qq, qq, 0.],
                        [0., pp * p, -pp * p, qq * q, -qq * q, 1.],
                    ]),
                    roundings: [8, 8, 8],
                }
            }
        }
    }

    /// The matrices of absolute values.
    pub fn abs(&self) -> Self {
        Self { g: abs(&self.g), b: abs(&self.b), a: abs(&self.a), roundings: self.roundings }
    }
}

fn rows<const R: usize, const C: usize>(rows: [[f64; C]; R]) -> Matrix {
    rows.iter().map(|row| row.to_vec()).collect()
}

/// Absolute values.
pub fn abs(m: &Matrix) -> Matrix {
    m.iter().map(|row| row.iter().map(|v| v.abs()).collect()).collect()
}

/// m x mᵀ
pub fn around(m: &Matrix, x: &Matrix) -> Matrix {
    let entry = |i: &Vec<f64>, j: &Vec<f64>| -> f64 {
        x.iter().zip(i).map(|(row, i)| i * row.iter().zip(j).map(|(x, j)| x * j).sum::<f64>()).sum()
    };
    m.iter().map(|i| m.iter().map(|j| entry(i, j)).collect()).collect()
}

/// A square of that side, entry by entry.
pub fn square(side: usize, f: impl Fn(usize, usize) -> f64) -> Matrix {
    (0..side).map(|i| (0..side).map(|j| f(i, j)).collect()).collect()
}
