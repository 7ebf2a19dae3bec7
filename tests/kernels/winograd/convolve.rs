//! Convolution by tiles.

use mbn::kernel::Kernel;
use mbn::kernel::winograd::{Convolve, Layout, Tile};

use super::matrices::{Matrices, Matrix, abs, around, square};
use super::weights::{Kernels, Values};
use crate::fence::GuardedBuffer;
use crate::support::{Real, Sum, assert_sums, on_every_isa, quarters, random, wide};

/// Rows and columns of tiles, and the channels of a convolution.
#[derive(Debug, Clone, Copy)]
struct Case {
    tile: Tile,
    tiles: [usize; 2],
    inputs: usize,
    outputs: usize,
    add: bool,
}

/// Rows and columns from 0 on.
fn pairs([rows, columns]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |y| (0..columns).map(move |x| (y, x)))
}

impl Case {
    /// Where the input's and the output's pixels lie, with gaps between the rows.
    fn layouts(&self) -> [Layout; 2] {
        let wide = self.tile.outputs() * self.tiles[1];
        let (inputs, outputs) = (self.inputs, self.outputs);
        [
            Layout { first: 5, step: (wide + 2) * inputs + 3, channels: inputs },
            Layout { first: 2, step: wide * outputs + 1, channels: outputs },
        ]
    }

    /// Values up to the last pixel's, `border` rows and columns more than the output has.
    fn len(&self, at: &Layout, border: usize) -> usize {
        let [rows, columns] = self.tiles.map(|tiles| self.tile.outputs() * tiles + border);
        at.first + (rows - 1) * at.step + columns * at.channels
    }

    /// The output before, and after the convolution.
    fn expected<T: Real>(&self, x: &[T], kernels: &Kernels<T>, y: &[T]) -> Vec<Sum> {
        let ([x_at, y_at], side) = (self.layouts(), self.tile.outputs());
        let pixel = |at: &Layout, y: usize, x: usize| at.first + y * at.step + x * at.channels;
        let Matrices { g, b, a, roundings } = Matrices::of(self.tile).abs();
        let roundings = roundings.iter().sum::<usize>() + self.inputs + 1;
        let kernel = |(o, i)| (kernels.get(i, o), around(&g, &abs(&kernels.get(i, o))));
        let weights: Vec<(Matrix, Matrix)> = pairs([self.outputs, self.inputs]).map(kernel).collect();
        let mut sums: Vec<Sum> = y.iter().map(Sum::exactly).collect();
        for (ty, tx) in pairs(self.tiles) {
            let image = |i: usize| {
                let value = |y, column| x[pixel(&x_at, side * ty + y, side * tx + column) + i].to_f64();
                let d = square(self.tile.inputs(), value);
                (around(&b, &abs(&d)), d)
            };
            let images: Vec<(Matrix, Matrix)> = (0..self.inputs).map(image).collect();
            for (o, weights) in weights.chunks_exact(self.inputs).enumerate() {
                let terms = || weights.iter().zip(&images);
                let products = |y: usize, x: usize| terms().map(|((_, u), (v, _))| u[y][x] * v[y][x]).sum::<f64>();
                let sizes = around(&a, &square(self.tile.inputs(), products));
                for (y, x) in pairs([side; 2]) {
                    let taps = |w: &Matrix, d: &Matrix| {
                        pairs([3; 2]).map(|(ky, kx)| w[ky][kx] * d[y + ky][x + kx]).sum::<f64>()
                    };
                    let value: f64 = terms().map(|((w, _), (_, d))| taps(w, d)).sum();
                    let sum = &mut sums[pixel(&y_at, side * ty + y, side * tx + x) + o];
                    let before = if self.add { *sum } else { Sum::default() };
                    *sum = Sum { value: before.value + value, size: before.size + sizes[y][x], roundings };
                }
            }
        }
        sums
    }

    /// Checks the whole, and that computing it in two parts gives bitwise the same.
    fn check<T: Real>(&self, values: Values<T>, compare: fn(&str, &[f64], &[Sum])) {
        let [x_at, y_at] = self.layouts();
        let x = GuardedBuffer::new(&values("x", self.len(&x_at, 2)));
        let kernels = Kernels::new(self.tile, values, self.inputs, self.outputs);
        let before = values("y", self.len(&y_at, 0));
        let u = kernels.transformed();
        let room = Convolve::<T>::room(self.tile, self.inputs, self.outputs);
        let mut scratch = GuardedBuffer::new(&values("scratch", room));
        let [rows, columns] = self.tiles;
        let mut computed = |tiles: std::ops::Range<usize>, values: std::ops::Range<usize>| {
            let mut y = GuardedBuffer::new(&before[values.clone()]);
            Convolve {
                tile: self.tile,
                columns,
                tiles: tiles.start * columns..tiles.end * columns,
                x: &x,
                x_at,
                u: &u,
                pitch: kernels.pitch,
                y: &mut y,
                y_at,
                origin: values.start,
                add: self.add,
                scratch: &mut scratch,
            }
            .compute();
            wide(&y)
        };
        let (middle, len) = (rows / 2, before.len());
        let origin = y_at.first + self.tile.outputs() * middle * y_at.step - 1;
        let whole = computed(0..rows, 0..len);
        compare(&format!("{self:?}"), &whole, &self.expected(&x, &kernels, &before));
        let parts = [computed(0..middle, 0..origin), computed(middle..rows, origin..len)].concat();
        assert_eq!(parts, whole, "{self:?} in parts");
    }
}

fn every_case<T: Real>(tile: Tile, values: Values<T>, compare: fn(&str, &[f64], &[Sum])) {
    for (inputs, outputs) in [(1, 1), (3, 5), (5, 16), (16, 16), (17, 20), (32, 32), (33, 17), (20, 50), (64, 64)] {
        for (tiles, add) in [([1, 1], false), ([1, 2], true), ([3, 3], false), ([4, 5], true)] {
            Case { tile, tiles, inputs, outputs, add }.check(values, compare);
        }
    }
}

#[test]
fn the_error_is_within_its_bound() {
    for tile in Tile::ALL {
        on_every_isa(|| every_case::<f32>(tile, random, assert_sums::<f32>));
        every_case::<f64>(tile, random, assert_sums::<f64>);
    }
}

/// The factors of 4x4 tiles' weights are not finite binary fractions, so they are always rounded.
#[test]
fn numbers_that_need_no_rounding_get_none() {
    on_every_isa(|| {
        every_case::<f32>(Tile::F2, quarters, |what, got, want| {
            let want: Vec<f64> = want.iter().map(|sum| sum.value).collect();
            assert_eq!(got, want, "{what}");
        });
    });
}
