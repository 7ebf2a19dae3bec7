//! Transposition: every value is moved, no other is touched.

use mbn::kernel::Kernel;
use mbn::kernel::transpose::Transpose;

use crate::fence::GuardedBuffer;
use crate::support::{Real, on_every_isa, random};

fn check<T: Real>([rows, columns]: [usize; 2]) {
    let (from_step, to_step) = (columns + 3, rows + 5);
    let from = GuardedBuffer::new(&random::<T>("from", (rows - 1) * from_step + columns));
    let before = random::<T>("to", (columns - 1) * to_step + rows);
    let mut to = GuardedBuffer::new(&before);
    Transpose { from: &from, from_step, size: [rows, columns], to: &mut to, to_step }.compute();
    let mut want = before;
    for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
        want[j * to_step + i] = from[i * from_step + j];
    }
    assert!(to[..] == want[..], "{rows} x {columns}");
}

fn every_size<T: Real>() {
    let sizes = [1, 2, 3, 7, 8, 9, 16, 20, 25, 50];
    sizes.iter().flat_map(|&rows| sizes.map(|columns| [rows, columns])).for_each(check::<T>);
}

#[test]
fn equals_its_definition() {
    on_every_isa(every_size::<f32>);
    every_size::<f64>();
}

#[test]
fn nothing_has_no_transpose() {
    let mut to = [1f32; 4];
    for size in [[0, 3], [3, 0]] {
        Transpose { from: &[], from_step: 3, size, to: &mut to, to_step: 3 }.compute();
    }
    assert_eq!(to, [1.0; 4]);
}
