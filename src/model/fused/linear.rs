//! Linear layers on rows of features.

use std::sync::Arc;

use crate::kernel::contract::{Contract, Grid, padded};
use crate::kernel::dot::Dot;
use crate::kernel::outer::{Outer, Pixels};
use crate::kernel::transpose::Transpose;
use crate::kernel::{Float, Kernel};

use super::parallel::{Work, parallel};
use super::{Buffer, Map, Sizes, Workspace};

/// Outputs per task.
const OUTPUTS: usize = 64;

/// Rows from which transposing `x` for a matrix product pays off.
const ROWS_TO_TURN: usize = 4;

/// The work of a matrix product with the weights. For a few rows it takes as long as reading the weights.
fn work<T>(rows: usize, weights: &[T]) -> Work {
    const ROWS: usize = 16;
    Work::Multiplications(rows.max(ROWS) * weights.len())
}

/// x Wᵀ + b, weight (out, in).
pub fn forward<T: Float>(x: &Map<T>, weight: &[T], bias: Option<&[T]>, workspace: &Arc<Workspace<T>>) -> Map<T> {
    let (n, inputs) = (x.sizes.n, x.sizes.c);
    let outputs = weight.len() / inputs;
    let turned = (n >= ROWS_TO_TURN).then(|| columns_of(x, workspace));
    // W xᵀ, so that threads can work on outputs side by side.
    let mut columns = workspace.take(outputs * n);
    parallel(work(n, weight), columns.chunks_mut(OUTPUTS * n).collect(), |i, out: &mut [T]| {
        let count = out.len() / n;
        let rows = &weight[i * OUTPUTS * inputs..][..count * inputs];
        let Some(w) = &turned else { return Dot { a: rows, b: x.values(), len: inputs, out }.compute() };
        let grid = Grid::product(count, inputs, n);
        Contract { grid: &grid, x: rows, w, y: out, rows: 0..1, origin: 0, add: false }.compute();
    });
    let mut y = Map::new(Sizes::new([n, 1, 1, outputs]), workspace);
    let to = y.values_mut();
    Transpose { from: &columns, from_step: n, size: [outputs, n], to, to_step: outputs }.compute();
    if let Some(bias) = bias {
        let rows = y.values_mut().chunks_exact_mut(outputs);
        rows.for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += *b));
    }
    y
}

/// xᵀ with rows of [`padded`] length, zeros after the values.
fn columns_of<T: Float>(x: &Map<T>, workspace: &Arc<Workspace<T>>) -> Buffer<T> {
    let (n, inputs, pitch) = (x.sizes.n, x.sizes.c, padded(x.sizes.n));
    let mut turned = workspace.take(inputs * pitch);
    if pitch > n {
        turned.fill(T::ZERO);
    }
    Transpose { from: x.values(), from_step: inputs, size: [n, inputs], to: &mut turned, to_step: pitch }.compute();
    turned
}

/// g W.
pub fn input_gradient<T: Float>(g: &Map<T>, weight: &[T], workspace: &Arc<Workspace<T>>) -> Map<T> {
    let (n, outputs) = (g.sizes.n, g.sizes.c);
    let inputs = weight.len() / outputs;
    let mut dx = Map::new(Sizes::new([n, 1, 1, inputs]), workspace);
    let pitch = padded(inputs);
    let mut wide = vec![];
    let w = if pitch == inputs {
        weight
    } else {
        wide.resize(pitch * outputs, T::ZERO);
        let rows = wide.chunks_exact_mut(pitch).zip(weight.chunks_exact(inputs));
        rows.for_each(|(wide, row)| wide[..inputs].copy_from_slice(row));
        &wide
    };
    const ROWS: usize = 16;
    parallel(work(n, weight), dx.values_mut().chunks_mut(ROWS * inputs).collect(), |i, y: &mut [T]| {
        let grid = Grid::product(y.len() / inputs, outputs, inputs);
        let x = &g.values()[i * ROWS * outputs..];
        Contract { grid: &grid, x, w, y, rows: 0..1, origin: 0, add: false }.compute();
    });
    dx
}

/// gᵀ x, (out, in), written to `gradient` or added to it.
pub fn weight_gradient<T: Float>(g: &Map<T>, x: &Map<T>, gradient: &mut [T], add: bool) {
    let (n, outputs, inputs) = (g.sizes.n, g.sizes.c, x.sizes.c);
    parallel(work(n, gradient), gradient.chunks_mut(OUTPUTS * inputs).collect(), |i, w: &mut [T]| {
        Outer {
            count: [1, 1, n],
            g: g.values(),
            g_at: Pixels { first: i * OUTPUTS, steps: [0, 0, outputs] },
            x: x.values(),
            x_at: Pixels { first: 0, steps: [0, 0, inputs] },
            size: [w.len() / inputs, inputs],
            w,
            pitch: inputs,
            add,
        }
        .compute();
    });
}
