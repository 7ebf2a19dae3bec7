//! Normalization with ReLU and max-pooling, and the two passes of its gradient, against their definitions.

use mbn::kernel::Kernel;
use mbn::kernel::norm::{Coefficients, Rows};
use mbn::kernel::pooled::{Gradient, Normalize, Reduce};

use crate::fence::GuardedBuffer;
use crate::support::{Real, Sum, assert_sums, on_every_isa, quarters, random, wide};

const CHANNELS: [usize; 7] = [1, 3, 16, 17, 20, 33, 50];

/// Rows of pixels with values in steps of 1/4: every operation on an element is exact, and ties between maxima occur.
struct Data<T> {
    rows: Rows,
    by: [Vec<T>; 3],
    flow: [Vec<T>; 3],
    g: GuardedBuffer<T>,
    z: GuardedBuffer<T>,
}

impl<T: Real> Data<T> {
    fn new(channels: usize, rows: usize, pixels: usize) -> Self {
        Self {
            rows: Rows { rows, pixels, channels },
            by: ["mean", "slope", "shift"].map(|name| quarters(name, channels)),
            flow: ["b", "d", "center"].map(|name| quarters(name, channels)),
            g: GuardedBuffer::new(&quarters("g", (rows / 2) * (pixels / 2) * channels)),
            z: GuardedBuffer::new(&quarters("z", rows * pixels * channels)),
        }
    }

    fn coefficients(&self) -> Coefficients<'_, T> {
        let [mean, slope, shift] = &self.by;
        Coefficients { mean, slope, shift }
    }

    /// Row stride of an output with that many pixels per row.
    fn step(&self, pixels: usize) -> usize {
        (pixels + 2) * self.rows.channels
    }

    fn out(&self, rows: usize, pixels: usize) -> GuardedBuffer<T> {
        let len = rows.saturating_sub(1) * self.step(pixels) + pixels * self.rows.channels;
        GuardedBuffer::new(&random("out", if rows == 0 { 0 } else { len }))
    }

    /// z - mean, and the ReLU's input.
    fn at(&self, row: usize, pixel: usize, c: usize) -> (f64, f64) {
        let [mean, slope, shift] = &self.by;
        let z = self.z[(row * self.rows.pixels + pixel) * self.rows.channels + c].to_f64();
        let d = z - mean[c].to_f64();
        (d, d * slope[c].to_f64() + shift[c].to_f64())
    }

    /// Row and pixel of the first of a window's largest values in reading order.
    fn first_maximum(&self, row: usize, pixel: usize, c: usize) -> (usize, usize) {
        let taps = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(y, x)| (2 * row + y, 2 * pixel + x));
        let value = |(row, pixel): (usize, usize)| self.at(row, pixel, c).1;
        let max = taps.map(value).into_iter().fold(f64::NEG_INFINITY, f64::max);
        taps.into_iter().find(|tap| value(*tap) == max).unwrap()
    }

    /// Row, pixel and channel of every window.
    fn windows(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let Rows { rows, pixels, channels } = self.rows;
        let of_row = move |row| (0..pixels / 2 * channels).map(move |at| (row, at / channels, at % channels));
        (0..rows / 2).flat_map(of_row)
    }

    /// The gradient at a window's maximum, zero where that was not positive.
    fn gated(&self, row: usize, pixel: usize, c: usize, max: (usize, usize)) -> f64 {
        let g = self.g[(row * (self.rows.pixels / 2) + pixel) * self.rows.channels + c].to_f64();
        if self.at(max.0, max.1, c).1 > 0.0 { g } else { 0.0 }
    }

    fn check_normalize(&self) {
        let Rows { rows, pixels, channels } = self.rows;
        let (mut y, step) = (self.out(rows / 2, pixels / 2), self.step(pixels / 2));
        let mut want = wide(&y);
        for (row, pixel, c) in self.windows() {
            let max = self.first_maximum(row, pixel, c);
            want[row * step + pixel * channels + c] = self.at(max.0, max.1, c).1.max(0.0);
        }
        Normalize { rows: self.rows, z: &self.z, by: self.coefficients(), raise: None, y: (&mut y, step) }.compute();
        assert_eq!(wide(&y), want, "{:?}", self.rows);
    }

    fn check_reduce(&self) {
        let channels = self.rows.channels;
        let mut sums = vec![Sum::default(); 2 * channels];
        for (row, pixel, c) in self.windows() {
            let max = self.first_maximum(row, pixel, c);
            let g = self.gated(row, pixel, c, max);
            sums[c].add(g);
            sums[channels + c].add(g * self.at(max.0, max.1, c).0);
        }
        let mut out = vec![f64::NAN; 2 * channels];
        Reduce { rows: self.rows, g: &self.g, z: &self.z, by: self.coefficients(), out: &mut out }.compute();
        assert_sums::<T>(&format!("{:?}", self.rows), &out, &sums);
    }

    fn check_gradient(&self) {
        let Rows { rows, pixels, channels } = self.rows;
        let (mut dz, step) = (self.out(rows, pixels), self.step(pixels));
        let mut want = wide(&dz);
        let [b, d, center] = &self.flow;
        for (row, pixel) in (0..rows).flat_map(|row| (0..pixels).map(move |pixel| (row, pixel))) {
            for c in 0..channels {
                let z = self.z[(row * pixels + pixel) * channels + c].to_f64();
                want[row * step + pixel * channels + c] = b[c].to_f64() * (z - center[c].to_f64()) + d[c].to_f64();
            }
        }
        for (row, pixel, c) in self.windows() {
            let max = self.first_maximum(row, pixel, c);
            let slope = self.by[1][c].to_f64();
            want[max.0 * step + max.1 * channels + c] += slope * self.gated(row, pixel, c, max);
        }
        let flow = [&b[..], d, center];
        let (rows, by) = (self.rows, self.coefficients());
        Gradient { rows, g: &self.g, z: &self.z, by, flow, dz: (&mut dz, step) }.compute();
        assert_eq!(wide(&dz), want, "{:?}", self.rows);
    }
}

fn every_size<T: Real>() {
    for channels in CHANNELS {
        for (rows, pixels) in [(1, 1), (1, 4), (4, 1), (2, 2), (2, 5), (3, 4), (5, 13)] {
            let data = Data::<T>::new(channels, rows, pixels);
            data.check_normalize();
            data.check_reduce();
            data.check_gradient();
        }
    }
}

#[test]
fn pooled_normalization_and_its_gradient_equal_their_definitions() {
    on_every_isa(every_size::<f32>);
    every_size::<f64>();
}

/// One window of as many channels as it has places for a NaN, and one without.
fn nothing_hides<T: Real>() {
    const CHANNELS: usize = 5;
    let (one, zero) = ([T::from_f64(1.0); CHANNELS], [T::ZERO; CHANNELS]);
    let mut z = [T::from_f64(3.0); 4 * CHANNELS];
    (0..4).for_each(|tap| z[tap * CHANNELS + tap] = T::from_f64(f64::NAN));
    let by = Coefficients { mean: &zero, slope: &one, shift: &zero };
    let rows = Rows { rows: 2, pixels: 2, channels: CHANNELS };
    let (mut y, mut out) = (zero, [0.0; 2 * CHANNELS]);
    Normalize { rows, z: &z, by, raise: None, y: (&mut y, CHANNELS) }.compute();
    Reduce { rows, g: &one, z: &z, by, out: &mut out }.compute();
    for c in 0..CHANNELS {
        assert_eq!((y[c].is_nan(), out[CHANNELS + c].is_nan()), (c < 4, c < 4), "channel {c}");
    }
}

#[test]
fn a_window_with_a_nan_gives_nan() {
    on_every_isa(nothing_hides::<f32>);
    nothing_hides::<f64>();
}
