//! Any operand that is one value too short is refused before anything is computed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mbn::kernel::Kernel;
use mbn::kernel::contract::{Contract, Grid, Segment};
use mbn::kernel::dot::Dot;
use mbn::kernel::norm::{Coefficients, Gradient, Moments, Normalize, Reduce, Rows};
use mbn::kernel::outer::{Outer, Pixels};
use mbn::kernel::pooled;
use mbn::kernel::transpose::Transpose;
use mbn::kernel::update::Descend;
use mbn::kernel::winograd::{Convolve, Layout, Tile, Weights};

/// Demands that `compute` accepts operands of the lengths `exact`, and panics if one of them is one value shorter.
fn refuses<const N: usize>(what: &str, exact: [usize; N], compute: impl Fn([Vec<f32>; N])) {
    let operands = |lens: [usize; N]| lens.map(|len| vec![0.5f32; len]);
    compute(operands(exact));
    for short in 0..N {
        let mut lens = exact;
        lens[short] -= 1;
        let ended = catch_unwind(AssertUnwindSafe(|| compute(operands(lens))));
        assert!(ended.is_err(), "{what}: operand {short} of {exact:?} may be a value shorter");
    }
}

/// Demands a panic.
fn panics(what: &str, compute: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(compute)).is_err(), "{what}");
}

#[test]
fn contractions_stay_inside() {
    let segments = vec![Segment { x: 0, w: 0 }, Segment { x: 30, w: 5 }];
    let grid = Grid { len: 5, segments, size: [2, 3], x: [1, 40, 7], y: [2, 60, 17], channels: 17, pitch: 32 };
    let contract = |grid: &Grid, rows, origin, [x, w, mut y]: [Vec<f32>; 3]| {
        Contract { grid, x: &x, w: &w, y: &mut y, rows, origin, add: false }.compute();
    };
    let exact = [1 + 40 + 14 + 30 + 5, 10 * 32, 2 + 60 + 34 + 17];
    refuses("contract", exact, |operands| contract(&grid, 0..2, 0, operands));
    refuses("its last row", [exact[0], exact[1], exact[2] - 62], |operands| contract(&grid, 1..2, 62, operands));
    let ample = || [1000; 3].map(|len| vec![0.5; len]);
    panics("more rows than there are", || contract(&grid, 0..3, 0, ample()));
    panics("a row before the output", || contract(&grid, 0..2, 3, ample()));
    panics("weights that are no whole vectors", || contract(&Grid { pitch: 17, ..grid.clone() }, 0..2, 0, ample()));
}

#[test]
fn outer_products_stay_inside() {
    let [g_at, x_at] = [50, 70].map(|image| Pixels { first: 1, steps: [image, 20, 6] });
    let exact = [1 + 50 + 20 + 12 + 5, 1 + 70 + 20 + 12 + 17, 4 * 19 + 17];
    refuses("outer", exact, |[g, x, mut w]| {
        let (count, size) = ([2, 2, 3], [5, 17]);
        Outer { count, g: &g, g_at, x: &x, x_at, w: &mut w, size, pitch: 19, add: false }.compute();
    });
}

#[test]
fn products_of_rows_take_whole_rows() {
    refuses("dot", [3 * 17, 2 * 17, 6], |[a, b, mut out]| Dot { a: &a, b: &b, len: 17, out: &mut out }.compute());
}

#[test]
fn transposes_stay_inside() {
    refuses("transpose", [8 * 20 + 17, 16 * 11 + 9], |[from, mut to]| {
        Transpose { from: &from, from_step: 20, size: [9, 17], to: &mut to, to_step: 11 }.compute();
    });
}

#[test]
fn normalization_stays_inside() {
    let rows = Rows { rows: 2, pixels: 3, channels: 17 };
    let (inside, channels) = (3 * 17, 17);
    let wide = |len: usize| vec![0f64; len];
    refuses("moments", [2 * channels], |[out]| {
        Moments { z: &vec![0f32; inside], channels, out: &mut wide(out.len()) }.compute();
    });
    panics("half a pixel", || Moments { z: &[0f32; 50], channels, out: &mut wide(34) }.compute());
    let exact = [60 + inside, 61 + inside, 62 + inside, channels, channels, channels];
    refuses("normalize", exact, |[z, residual, mut y, mean, slope, shift]| {
        let by = Coefficients { mean: &mean, slope: &slope, shift: &shift };
        let residual = Some((&residual[..], 61));
        Normalize { rows, z: (&z, 60), residual, by, relu: true, raise: None, y: (&mut y, 62) }.compute();
    });
    let exact = [2 * inside, 2 * inside, 61 + inside, channels, channels, channels, 2 * channels];
    refuses("reduce", exact, |[mut g, z, residual, mean, slope, shift, out]| {
        let by = Coefficients { mean: &mean, slope: &slope, shift: &shift };
        let residual = Some((&residual[..], 61));
        Reduce { rows, g: &mut g, z: &z, residual, by, relu: true, out: &mut wide(out.len()) }.compute();
    });
    let exact = [2 * inside, 2 * inside, 62 + inside, channels, channels, channels, channels];
    refuses("gradient", exact, |[g, z, mut dz, a, b, d, center]| {
        Gradient { rows, g: &g, z: &z, by: [&a, &b, &d, &center], dz: (&mut dz, 62) }.compute();
    });
}

#[test]
fn pooled_normalization_stays_inside() {
    let rows = Rows { rows: 5, pixels: 7, channels: 17 };
    let (z, g, row, channels) = (5 * 7 * 17, 2 * 3 * 17, 7 * 17, 17);
    refuses("normalize", [z, 60 + 3 * 17, channels, channels, channels], |[z, mut y, mean, slope, shift]| {
        let by = Coefficients { mean: &mean, slope: &slope, shift: &shift };
        pooled::Normalize { rows, z: &z, by, raise: None, y: (&mut y, 60) }.compute();
    });
    refuses("reduce", [g, z, channels, channels, channels, 2 * channels], |[g, z, mean, slope, shift, out]| {
        let by = Coefficients { mean: &mean, slope: &slope, shift: &shift };
        pooled::Reduce { rows, g: &g, z: &z, by, out: &mut vec![0f64; out.len()] }.compute();
    });
    let exact = [g, z, 4 * 130 + row, channels, channels, channels, channels, channels, channels];
    refuses("gradient", exact, |[g, z, mut dz, mean, slope, shift, b, d, center]| {
        let by = Coefficients { mean: &mean, slope: &slope, shift: &shift };
        pooled::Gradient { rows, g: &g, z: &z, by, flow: [&b, &d, &center], dz: (&mut dz, 130) }.compute();
    });
}

#[test]
fn tiles_stay_inside() {
    let (inputs, outputs, pitch) = (3, 17, 32);
    for tile in Tile::ALL {
        let room = Weights::<f32>::room(tile, inputs, pitch);
        refuses("weights", [9 * inputs * pitch, room], |[w, mut u]| {
            Weights { tile, w: &w, inputs, pitch, u: &mut u }.compute();
        });
        // Two rows of three tiles.
        let side = tile.outputs();
        let x_at = Layout { first: 1, step: 80, channels: inputs };
        let y_at = Layout { first: 2, step: 310, channels: outputs };
        let convolve = |tiles, pitch, [x, u, mut y, mut scratch]: [Vec<f32>; 4]| {
            let (y, scratch) = (&mut y, &mut scratch);
            let (columns, origin, add) = (3, 0, false);
            Convolve { tile, columns, tiles, x: &x, x_at, u: &u, pitch, y, y_at, origin, add, scratch }.compute();
        };
        let exact = [
            1 + (2 * side + 1) * 80 + (3 * side + 2) * inputs,
            room,
            2 + (2 * side - 1) * 310 + 3 * side * outputs,
            Convolve::<f32>::room(tile, inputs, outputs),
        ];
        refuses("convolve", exact, |operands| convolve(0..6, pitch, operands));
        let ample = || exact.map(|len| vec![0.5; 2 * len]);
        panics("weights that are no whole vectors", || convolve(0..6, 17, ample()));
        // The last tile of such a range is not the one that reaches farthest.
        panics("a part of a row", || convolve(0..4, pitch, ample()));
        panics("a part of a row", || convolve(1..3, pitch, ample()));
    }
}

#[test]
fn updates_take_parameters_gradients_and_momenta_of_one_length() {
    let sgd_step = |[mut p, mut b, g]: [Vec<f32>; 3]| {
        let (p, b) = (&mut p, &mut b);
        Descend { p, b, g: &g, momentum: 0.9, decay: 0.0, rate: 0.1, nesterov: false }.compute();
    };
    refuses("sgd_step", [17, 17, 17], sgd_step);
    sgd_step([17, 0, 17].map(|len| vec![0.5; len]));
}

#[test]
fn sizes_that_wrap_around_are_refused() {
    const HALF: usize = usize::MAX / 2 + 1;
    let (x, mut y) = (vec![0.5f32; 100], vec![0.5f32; 100]);
    panics("a transpose", || {
        Transpose { from: &x, from_step: HALF, size: [3, 1], to: &mut y.clone(), to_step: 3 }.compute();
    });
    let grid = Grid { x: [0, HALF, 1], size: [3, 1], ..Grid::product(3, 1, 1) };
    panics("a contraction", || {
        Contract { grid: &grid, x: &x, w: &x, y: &mut y.clone(), rows: 0..3, origin: 0, add: false }.compute();
    });
    let [near, far] = [1, HALF].map(|row| Pixels { first: 0, steps: [1, row, 1] });
    panics("an outer product", || {
        let (count, size) = ([1, 3, 1], [1, 1]);
        Outer { count, g: &x, g_at: near, x: &x, x_at: far, w: &mut y.clone(), size, pitch: 1, add: false }.compute();
    });
    let by = Coefficients { mean: &x, slope: &x, shift: &x };
    let rows = Rows { rows: 3, pixels: 1, channels: 1 };
    panics("a normalization", || {
        Normalize { rows, z: (&x, HALF), residual: None, by, relu: true, raise: None, y: (&mut y, 1) }.compute();
    });
}
