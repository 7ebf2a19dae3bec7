//! The transform of the weights.

use mbn::kernel::Kernel;
use mbn::kernel::contract::padded;
use mbn::kernel::winograd::{Tile, Weights};

use super::matrices::{Matrices, Matrix, abs, around, square};
use crate::fence::GuardedBuffer;
use crate::support::{Real, Sum, assert_sums, on_every_isa, random, wide};

/// Values of one kind, `random` or `quarters`.
pub type Values<T> = fn(&str, usize) -> Vec<T>;

/// Weights and how they are transformed.
pub struct Kernels<T> {
    tile: Tile,
    w: GuardedBuffer<T>,
    inputs: usize,
    pub pitch: usize,
}

impl<T: Real> Kernels<T> {
    pub fn new(tile: Tile, values: Values<T>, inputs: usize, outputs: usize) -> Self {
        let pitch = padded(outputs);
        Self { tile, w: GuardedBuffer::new(&values("w", 9 * inputs * pitch)), inputs, pitch }
    }

    /// The kernel from channel `i` to channel `o`.
    pub fn get(&self, i: usize, o: usize) -> Matrix {
        square(3, |ky, kx| self.w[((ky * 3 + kx) * self.inputs + i) * self.pitch + o].to_f64())
    }

    pub fn transformed(&self) -> GuardedBuffer<T> {
        let tile = self.tile;
        let mut u = GuardedBuffer::new(&random("u", Weights::<T>::room(tile, self.inputs, self.pitch)));
        Weights { tile, w: &self.w, inputs: self.inputs, pitch: self.pitch, u: &mut u }.compute();
        u
    }
}

fn check<T: Real>(tile: Tile, inputs: usize, outputs: usize) {
    let (matrices, points) = (Matrices::of(tile), tile.points());
    let (g, g_abs, roundings) = (&matrices.g, &matrices.abs().g, matrices.roundings[0]);
    let kernels = Kernels::<T>::new(tile, random, inputs, outputs);
    // Nothing is written between the points.
    let before = random::<T>("u", Weights::<T>::room(tile, inputs, kernels.pitch));
    let mut want: Vec<Sum> = before.iter().map(Sum::exactly).collect();
    let step = want.len() / points;
    for (i, o) in (0..inputs).flat_map(|i| (0..kernels.pitch).map(move |o| (i, o))) {
        let w = kernels.get(i, o);
        let (values, sizes) = (around(g, &w).concat(), around(g_abs, &abs(&w)).concat());
        for (point, (value, size)) in values.into_iter().zip(sizes).enumerate() {
            want[point * step + i * kernels.pitch + o] = Sum { value, size, roundings };
        }
    }
    assert_sums::<T>(&format!("{tile:?}, weights, {inputs} to {outputs}"), &wide(&kernels.transformed()), &want);
}

#[test]
fn weights_are_transformed_as_defined() {
    let every = |check: fn(Tile, usize, usize)| {
        for (inputs, outputs) in [(1, 1), (3, 5), (16, 17), (33, 50)] {
            Tile::ALL.into_iter().for_each(|tile| check(tile, inputs, outputs));
        }
    };
    on_every_isa(|| every(check::<f32>));
    every(check::<f64>);
}
