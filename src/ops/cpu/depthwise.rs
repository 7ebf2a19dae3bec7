//! Depth-wise convolution, plane by plane and tap by tap.

use std::ops::Range;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result, Shape, Tensor, WithDType};

use super::norm::sum2;
use super::{Real, for_each_plane, like, map, output, read2, values, with_real};

/// Sizes of maps and of the kernels of their channels.
#[derive(Clone, Copy)]
struct Sizes {
    channels: usize,
    h: usize,
    w: usize,
    k: usize,
}

impl Sizes {
    fn new(x: &[usize], kernel: &[usize]) -> Self {
        let at = |i: usize| x.get(i).copied().unwrap_or(1);
        Self { channels: at(1), h: at(2), w: at(3), k: kernel[kernel.len() - 1] }
    }

    fn plane(&self) -> usize {
        self.h * self.w
    }

    fn taps(&self) -> Range<usize> {
        0..self.k * self.k
    }

    /// The values of the output plane that a tap contributes to, row by row, and the input values it takes for them.
    fn overlap(self, tap: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let Self { h, w, k, .. } = self;
        let (reach, down, right) = (k / 2, tap / k, tap % k);
        let within = |size: usize, by: usize| reach.saturating_sub(by)..size.min((size + reach).saturating_sub(by));
        let (rows, columns) = (within(h, down), within(w, right));
        let (left, wide) = (columns.start, columns.len());
        rows.filter(move |_| wide > 0).map(move |y| {
            let (to, from) = (y * w + left, (y + down - reach) * w + left + right - reach);
            (to..to + wide, from..from + wide)
        })
    }
}

pub(in crate::ops) fn depthwise_storage(
    (x, x_layout): (&CpuStorage, &Layout),
    (kernel, kernel_layout): (&CpuStorage, &Layout),
    turned: bool,
) -> Result<(CpuStorage, Shape)> {
    let sizes = Sizes::new(x_layout.dims(), kernel_layout.dims());
    with_real!(x, T => {
        let (x, kernel) = (values::<T>(x, x_layout)?, values(kernel, kernel_layout)?);
        output(convolved(x, kernel, sizes, turned), x_layout.shape())
    })
}

fn convolved<T: Real>(x: &[T], kernel: &[T], sizes: Sizes, turned: bool) -> Vec<T> {
    let mut y = vec![T::zero(); x.len()];
    for_each_plane(&mut y, sizes.plane(), |i, y| {
        let x = &x[i * sizes.plane()..][..sizes.plane()];
        let kernel = &kernel[i % sizes.channels * sizes.taps().len()..][..sizes.taps().len()];
        for tap in sizes.taps() {
            let weight = kernel[if turned { kernel.len() - 1 - tap } else { tap }];
            for (to, from) in sizes.overlap(tap) {
                y[to].iter_mut().zip(&x[from]).for_each(|(y, &x)| *y += weight * x);
            }
        }
    });
    y
}

/// The gradient with respect to the kernels.
pub(in crate::ops) fn depthwise_kernel_gradient(x: &Tensor, g: &Tensor, kernel: &Tensor) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), kernel.dims());
    with_real!(x, T => {
        let gradient = read2(x, g, |x: &[T], g: &[T]| {
            let planes = |c: usize| (c * sizes.plane()..x.len()).step_by(sizes.channels * sizes.plane());
            let along = |first: usize, tap: usize| -> f64 {
                let (x, g) = (&x[first..], &g[first..]);
                sizes.overlap(tap).map(|(to, from)| sum2(&g[to], &x[from], |g, x| g * x)).sum()
            };
            let of = |c: usize| sizes.taps().map(move |tap| planes(c).map(|first| along(first, tap)).sum::<f64>());
            map(sizes.channels, x.len(), |c| of(c).map(T::from_f64).collect::<Vec<T>>()).concat()
        })?;
        like(kernel, gradient)
    })
}
