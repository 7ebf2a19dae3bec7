//! Winograd's algorithm against the 3x3 convolution it computes.
//!
//! Its error is bounded as any sum's is, by roundings times the sizes of what is added, but the sizes are those of the
//! transformed tiles: |Aᵀ| (|G| |g| |Gᵀ| ⊙ |Bᵀ| |d| |B|) |A| in place of Σ|g||d|. A term passes 4 roundings in the
//! weights' transform (2 per axis), 2 in the input's, as many as there are input channels in the products' sum, 4 in the
//! output's transform and one where it is added to something. Where all |g| and all |d| are equal that is
//! (1 + 3/2 + 3/2)² · 4 = 64 instead of 9 times their product: a digit less than a direct convolution, never more.

use mbn::kernel::Kernel;
use mbn::kernel::contract::padded;
use mbn::kernel::winograd::{Convolve, Layout, POINTS, Weights};

use crate::fence::GuardedBuffer;
use crate::support::{Real, Sum, assert_sums, on_every_isa, quarters, random, wide};

const G: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
const B: [[f64; 4]; 4] = [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]];
const A: [[f64; 4]; 2] = [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]];

/// Roundings beside those of the products' sum.
const ROUNDINGS: usize = 4 + 2 + 4 + 1;

/// m x mᵀ
fn around<const R: usize, const C: usize>(m: &[[f64; C]; R], x: &[[f64; C]; C]) -> [[f64; R]; R] {
    let entry = |i: usize, j: usize| -> f64 {
        (0..C).flat_map(|k| (0..C).map(move |l| (k, l))).map(|(k, l)| m[i][k] * x[k][l] * m[j][l]).sum()
    };
    std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)))
}

fn abs<const R: usize, const C: usize>(m: [[f64; C]; R]) -> [[f64; C]; R] {
    m.map(|row| row.map(f64::abs))
}

/// Values of one kind, `random` or `quarters`.
type Values<T> = fn(&str, usize) -> Vec<T>;

/// Weights and how they are transformed.
struct Kernels<T> {
    w: GuardedBuffer<T>,
    inputs: usize,
    pitch: usize,
}

impl<T: Real> Kernels<T> {
    fn new(values: Values<T>, inputs: usize, outputs: usize) -> Self {
        let pitch = padded(outputs);
        Self { w: GuardedBuffer::new(&values("w", 9 * inputs * pitch)), inputs, pitch }
    }

    /// The kernel from channel `i` to channel `o`.
    fn get(&self, i: usize, o: usize) -> [[f64; 3]; 3] {
        let tap = |tap: usize| self.w[(tap * self.inputs + i) * self.pitch + o].to_f64();
        std::array::from_fn(|ky| std::array::from_fn(|kx| tap(ky * 3 + kx)))
    }

    fn transformed(&self) -> GuardedBuffer<T> {
        let mut u = GuardedBuffer::new(&random("u", POINTS * self.inputs * self.pitch));
        Weights { w: &self.w, inputs: self.inputs, pitch: self.pitch, u: &mut u }.compute();
        u
    }
}

fn check_weights<T: Real>(inputs: usize, outputs: usize) {
    let kernels = Kernels::<T>::new(random, inputs, outputs);
    let mut want = vec![Sum::default(); POINTS * inputs * kernels.pitch];
    for (i, o) in (0..inputs).flat_map(|i| (0..kernels.pitch).map(move |o| (i, o))) {
        let g = kernels.get(i, o);
        let (values, sizes) = (around(&G, &g), around(&abs(G), &abs(g)));
        for (point, (value, size)) in values.as_flattened().iter().zip(sizes.as_flattened()).enumerate() {
            let at = (point * inputs + i) * kernels.pitch + o;
            want[at] = Sum { value: *value, size: *size, roundings: 4 };
        }
    }
    assert_sums::<T>(&format!("weights, {inputs} to {outputs}"), &wide(&kernels.transformed()), &want);
}

/// Rows and columns of tiles, and the channels of a convolution.
#[derive(Debug, Clone, Copy)]
struct Case {
    tiles: [usize; 2],
    inputs: usize,
    outputs: usize,
    add: bool,
}

impl Case {
    /// Where the input's and the output's pixels lie, with gaps between the rows.
    fn layouts(&self) -> [Layout; 2] {
        let wide = 2 * self.tiles[1];
        let (inputs, outputs) = (self.inputs, self.outputs);
        [
            Layout { first: 5, step: (wide + 2) * inputs + 3, channels: inputs },
            Layout { first: 2, step: wide * outputs + 1, channels: outputs },
        ]
    }

    /// Values up to the last pixel's, `border` rows and columns more than the output has.
    fn len(&self, at: &Layout, border: usize) -> usize {
        let [rows, columns] = self.tiles.map(|tiles| 2 * tiles + border);
        at.first + (rows - 1) * at.step + columns * at.channels
    }

    /// What is there, and what the convolution makes of it.
    fn expected<T: Real>(&self, x: &[T], kernels: &Kernels<T>, y: &[T]) -> Vec<Sum> {
        let [x_at, y_at] = self.layouts();
        let pixel = |at: &Layout, y: usize, x: usize| at.first + y * at.step + x * at.channels;
        let mut sums: Vec<Sum> = y.iter().map(Sum::exactly).collect();
        let [rows, columns] = self.tiles;
        for (ty, tx, o) in (0..rows)
            .flat_map(|ty| (0..columns).map(move |tx| (ty, tx)))
            .flat_map(|(ty, tx)| (0..self.outputs).map(move |o| (ty, tx, o)))
        {
            let (mut values, mut sizes) = ([[0.0; 2]; 2], [[0.0; 2]; 2]);
            for i in 0..self.inputs {
                let at = |y: usize, x_: usize| x[pixel(&x_at, 2 * ty + y, 2 * tx + x_) + i].to_f64();
                let d: [[f64; 4]; 4] = std::array::from_fn(|y| std::array::from_fn(|x| at(y, x)));
                let g = kernels.get(i, o);
                let (u, v) = (around(&abs(G), &abs(g)), around(&abs(B), &abs(d)));
                let products = std::array::from_fn(|i| std::array::from_fn(|j| u[i][j] * v[i][j]));
                let size = around(&abs(A), &products);
                for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let taps = (0..3).flat_map(|ky| (0..3).map(move |kx| (ky, kx)));
                    values[y][x] += taps.map(|(ky, kx)| g[ky][kx] * d[y + ky][x + kx]).sum::<f64>();
                    sizes[y][x] += size[y][x];
                }
            }
            for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let sum = &mut sums[pixel(&y_at, 2 * ty + y, 2 * tx + x) + o];
                let before = if self.add { *sum } else { Sum::default() };
                let (value, size) = (before.value + values[y][x], before.size + sizes[y][x]);
                *sum = Sum { value, size, roundings: self.inputs + ROUNDINGS };
            }
        }
        sums
    }

    fn check<T: Real>(&self, values: Values<T>, compare: fn(&str, &[f64], &[Sum])) {
        let [x_at, y_at] = self.layouts();
        let x = GuardedBuffer::new(&values("x", self.len(&x_at, 2)));
        let kernels = Kernels::new(values, self.inputs, self.outputs);
        let before = values("y", self.len(&y_at, 0));
        let want = self.expected(&x, &kernels, &before);
        let u = kernels.transformed();
        let mut scratch = GuardedBuffer::new(&values("scratch", Convolve::<T>::room(self.inputs, self.outputs)));
        let [rows, columns] = self.tiles;
        // Whole, and in two parts with their own pieces of the output.
        let (middle, len) = (rows / 2, before.len());
        let origin = y_at.first + 2 * middle * y_at.step - 1;
        for (tiles, values) in [(0..rows, 0..len), (0..middle, 0..origin), (middle..rows, origin..len)] {
            let mut y = GuardedBuffer::new(&before[values.clone()]);
            Convolve {
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
            if !tiles.is_empty() {
                compare(&format!("{self:?}, rows {tiles:?} of tiles"), &wide(&y), &want[values]);
            }
        }
    }
}

fn every_case<T: Real>(values: Values<T>, compare: fn(&str, &[f64], &[Sum])) {
    for (inputs, outputs) in [(1, 1), (3, 5), (5, 16), (16, 16), (17, 20), (32, 32), (33, 17), (20, 50), (64, 64)] {
        for (tiles, add) in [([1, 1], false), ([1, 2], true), ([3, 3], false), ([4, 5], true)] {
            Case { tiles, inputs, outputs, add }.check(values, compare);
        }
    }
}

#[test]
fn weights_are_transformed_as_defined() {
    let every = |check: fn(usize, usize)| [(1, 1), (3, 5), (16, 17), (33, 50)].iter().for_each(|&(i, o)| check(i, o));
    on_every_isa(|| every(check_weights::<f32>));
    every(check_weights::<f64>);
}

#[test]
fn the_error_is_within_its_bound() {
    on_every_isa(|| every_case::<f32>(random, assert_sums::<f32>));
    every_case::<f64>(random, assert_sums::<f64>);
}

#[test]
fn numbers_that_need_no_rounding_get_none() {
    on_every_isa(|| {
        every_case::<f32>(quarters, |what, got, want| {
            let want: Vec<f64> = want.iter().map(|sum| sum.value).collect();
            assert_eq!(got, want, "{what}");
        });
    });
}
