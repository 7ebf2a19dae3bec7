//! out[i,j] = Σ_k a[i,k] b[j,k].

use mbn::kernel::Kernel;
use mbn::kernel::dot::Dot;

use crate::fence::GuardedBuffer;
use crate::support::{Real, Sum, assert_sums, on_every_isa, random, wide};

fn check<T: Real>(rows: usize, columns: usize, len: usize) {
    let (a, b) =
        (GuardedBuffer::new(&random::<T>("a", rows * len)), GuardedBuffer::new(&random::<T>("b", columns * len)));
    let mut out = GuardedBuffer::new(&random::<T>("out", rows * columns));
    let mut want = vec![];
    for (a, b) in a.chunks(len).flat_map(|a| b.chunks(len).map(move |b| (a, b))) {
        let mut sum = Sum::default();
        a.iter().zip(b).for_each(|(a, b)| sum.add(a.to_f64() * b.to_f64()));
        want.push(sum);
    }
    Dot { a: &a, b: &b, len, out: &mut out }.compute();
    assert_sums::<T>(&format!("{rows} times {columns} rows of {len}"), &wide(&out), &want);
}

fn every_size<T: Real>() {
    for (rows, columns) in (1..10).flat_map(|rows| (1..10).map(move |columns| (rows, columns))) {
        [1, 3, 5, 16, 17, 20, 33, 50, 64, 800].into_iter().for_each(|len| check::<T>(rows, columns, len));
    }
    // The last layer's size, and the row of a single image.
    check::<T>(10, 500, 33);
    check::<T>(500, 1, 50);
}

#[test]
fn equals_its_definition() {
    on_every_isa(every_size::<f32>);
    every_size::<f64>();
}
