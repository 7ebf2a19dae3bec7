//! w[i,j] += Σ_p g[p,i] x[p,j]: any number of images, rows and columns of pixels, with gaps between all of them.

use mbn::kernel::Kernel;
use mbn::kernel::outer::{Outer, Pixels};

use crate::fence::GuardedBuffer;
use crate::support::{Real, Sum, assert_sums, on_every_isa, random, wide};

/// Layout of pixels of `values` values, with gaps between pixels, rows and images; and one past the last value.
fn pixels(count: [usize; 3], values: usize, gap: usize) -> (Pixels, usize) {
    let column = values + gap;
    let row = count[2] * column + gap;
    let at = Pixels { first: 1 + gap, steps: [count[1] * row + gap, row, column] };
    let last: usize = at.steps.iter().zip(count).map(|(step, count)| step * count.saturating_sub(1)).sum();
    (at, at.first + last + values)
}

fn check<T: Real>(count: [usize; 3], size: [usize; 2], gap: usize, add: bool) {
    let [rows, columns] = size;
    let pitch = columns + 2 * gap;
    let (g_at, g_len) = pixels(count, rows, gap);
    let (x_at, x_len) = pixels(count, columns, 2 * gap);
    let (g, x) = (GuardedBuffer::new(&random::<T>("g", g_len)), GuardedBuffer::new(&random::<T>("x", x_len)));
    let mut w = GuardedBuffer::new(&random::<T>("w", (rows - 1) * pitch + columns));

    let mut want: Vec<Sum> = w.iter().map(Sum::exactly).collect();
    for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
        let sum = &mut want[i * pitch + j];
        if !add {
            *sum = Sum::default();
        }
        for (n, y) in (0..count[0]).flat_map(|n| (0..count[1]).map(move |y| (n, y))) {
            for column in 0..count[2] {
                let at = |p: &Pixels| p.first + n * p.steps[0] + y * p.steps[1] + column * p.steps[2];
                sum.add(g[at(&g_at) + i].to_f64() * x[at(&x_at) + j].to_f64());
            }
        }
    }

    Outer { count, g: &g, g_at, x: &x, x_at, w: &mut w, size, pitch, add }.compute();
    assert_sums::<T>(&format!("{count:?} pixels, {size:?}, gap {gap}, add {add}"), &wide(&w), &want);
}

fn every_size<T: Real>() {
    for rows in [1, 3, 5, 16, 17, 20, 33] {
        for columns in [1, 3, 5, 16, 17, 20, 33, 50, 64, 99] {
            for (count, gap) in [([1, 1, 1], 0), ([1, 1, 2], 1), ([1, 1, 13], 0), ([2, 3, 7], 2)] {
                [false, true].into_iter().for_each(|add| check::<T>(count, [rows, columns], gap, add));
            }
        }
    }
}

#[test]
fn equals_its_definition() {
    on_every_isa(every_size::<f32>);
    every_size::<f64>();
}

#[test]
fn no_pixels_are_a_sum_of_zero() {
    for count in [[0, 3, 3], [2, 0, 3], [2, 3, 0]] {
        [false, true].into_iter().for_each(|add| check::<f32>(count, [5, 17], 1, add));
    }
}
