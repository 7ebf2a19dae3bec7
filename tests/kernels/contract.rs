//! y[p] += Σ_k x[p,k] w[k]: grids of any size and stride, segments, parts of a grid, overlapping outputs.

use mbn::kernel::Kernel;
use mbn::kernel::contract::{Contract, Grid, Segment, padded};

use crate::fence::GuardedBuffer;
use crate::support::{Real, Sum, assert_sums, on_every_isa, random, wide};

/// Rows of pixels in every grid.
const ROWS: usize = 3;

/// A grid whose pixels read `segments` segments of `len` values, with gaps everywhere.
fn grid(channels: usize, pixels: usize, len: usize, segments: usize, y_step: usize) -> Grid {
    let row = pixels * len + 5;
    Grid {
        len,
        // The weights' first row is not used.
        segments: (0..segments).map(|r| Segment { x: r * row, w: 1 + r * len }).collect(),
        size: [ROWS, pixels],
        x: [2, row, len],
        y: [3, pixels * y_step + channels, y_step],
        channels,
        pitch: padded(channels) + 16 * (len % 2),
    }
}

/// One past the last value that the grid's pixels begin with at `at`.
fn end(grid: &Grid, at: [usize; 3]) -> usize {
    at[0] + (grid.size[0] - 1) * at[1] + (grid.size[1] - 1) * at[2]
}

struct Data<T> {
    x: GuardedBuffer<T>,
    w: GuardedBuffer<T>,
    y: Vec<T>,
}

/// Operands of exactly the necessary length.
fn data<T: Real>(grid: &Grid) -> Data<T> {
    let furthest = grid.segments.iter().map(|run| (run.x, run.w)).max().unwrap_or_default();
    let x = random("x", end(grid, grid.x) + furthest.0 + grid.len);
    let w = random("w", (furthest.1 + grid.len) * grid.pitch);
    Data { x: GuardedBuffer::new(&x), w: GuardedBuffer::new(&w), y: random("y", end(grid, grid.y) + grid.channels) }
}

fn expected<T: Real>(grid: &Grid, Data { x, w, y }: &Data<T>, add: bool) -> Vec<Sum> {
    let mut sums: Vec<Sum> = y.iter().map(Sum::exactly).collect();
    for (row, pixel) in (0..grid.size[0]).flat_map(|row| (0..grid.size[1]).map(move |pixel| (row, pixel))) {
        let [from, to] = [grid.x, grid.y].map(|at| at[0] + row * at[1] + pixel * at[2]);
        for (c, sum) in sums[to..to + grid.channels].iter_mut().enumerate() {
            if !add {
                *sum = Sum::default();
            }
            for (run, k) in grid.segments.iter().flat_map(|run| (0..grid.len).map(move |k| (run, k))) {
                sum.add(x[from + run.x + k].to_f64() * w[(run.w + k) * grid.pitch + c].to_f64());
            }
        }
    }
    sums
}

fn check<T: Real>(grid: &Grid, add: bool) {
    let data = data::<T>(grid);
    let (want, what) = (expected(grid, &data, add), format!("{grid:?}, add {add}"));
    let (x, w) = (&data.x[..], &data.w[..]);
    let mut y = GuardedBuffer::new(&data.y);
    Contract { grid, x, w, y: &mut y, rows: 0..ROWS, origin: 0, add }.compute();
    assert_sums::<T>(&what, &wide(&y), &want);
}

/// The same in two parts, each with its own piece of the output.
fn check_parts<T: Real>(grid: &Grid, add: bool) {
    let data = data::<T>(grid);
    let (want, what) = (expected(grid, &data, add), format!("{grid:?} in parts, add {add}"));
    // Somewhere between the first and the second row.
    let origin = grid.y[0] + grid.y[1] - 1;
    for (rows, values) in [(0..1, 0..origin), (1..ROWS, origin..data.y.len())] {
        let mut y = GuardedBuffer::new(&data.y[values.clone()]);
        Contract { grid, x: &data.x, w: &data.w, y: &mut y, rows, origin: values.start, add }.compute();
        assert_sums::<T>(&what, &wide(&y), &want[values]);
    }
}

fn every_grid<T: Real>() {
    for channels in [1, 3, 5, 16, 17, 20, 33, 50, 64] {
        for pixels in [1, 2, 7, 13, 16, 32] {
            for (len, segments) in [(1, 1), (3, 3), (16, 2), (33, 1)] {
                for (gap, add) in [(0, false), (0, true), (2, true)] {
                    let grid = grid(channels, pixels, len, segments, channels + gap);
                    check::<T>(&grid, add);
                    check_parts::<T>(&grid, add);
                }
                // Outputs overlap, as those of windows do in the input gradient of a convolution.
                check::<T>(&grid(channels, pixels, len, segments, channels.div_ceil(3)), true);
            }
        }
    }
}

#[test]
fn equals_its_definition() {
    on_every_isa(every_grid::<f32>);
    every_grid::<f64>();
}

#[test]
fn a_grid_without_runs_is_zero() {
    let grid = Grid { segments: vec![], ..grid(20, 7, 3, 1, 21) };
    on_every_isa(|| [false, true].into_iter().for_each(|add| check::<f32>(&grid, add)));
}
