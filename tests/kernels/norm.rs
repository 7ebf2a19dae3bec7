//! Moments, normalization with residual and ReLU, and the two passes of the gradient, on rows with any stride.

use mbn::kernel::Kernel;
use mbn::kernel::norm::{Coefficients, Gradient, Moments, Normalize, Reduce, Residual, Rows};

use crate::fence::GuardedBuffer;
use crate::support::{Real, Sum, assert_sums, on_every_isa, quarters, random, wide};

const CHANNELS: [usize; 9] = [1, 3, 5, 16, 17, 20, 33, 50, 64];

/// Pixels that the kernel sums in the number type.
const CHUNK: usize = 1024;

fn check_moments<T: Real>(channels: usize, pixels: usize, center: f64) {
    let spread: Vec<T> = random("z", pixels * channels);
    let z: Vec<T> = spread.iter().map(|v| T::from_f64(v.to_f64() + center)).collect();
    let z = GuardedBuffer::new(&z);
    let mut out = vec![0.0; 2 * channels];
    Moments { z: &z, channels, out: &mut out }.compute();

    let (mut means, mut squares) = (vec![], vec![]);
    for c in 0..channels {
        let values: Vec<f64> = z.iter().skip(c).step_by(channels).map(|v| v.to_f64()).collect();
        let n = pixels as f64;
        // In two passes: the reference must be the more accurate one in f64, too.
        let rough = values.iter().sum::<f64>() / n;
        let mean = rough + values.iter().map(|v| v - rough).sum::<f64>() / n;
        // The kernel sums deviations from a first estimate of the mean, which has the error of a sum in T.
        let roundings = pixels.min(CHUNK) + 4;
        let off = T::UNIT * roundings as f64 * values.iter().map(|v| v.abs()).sum::<f64>() / n;
        let sizes: Vec<f64> = values.iter().map(|v| (v - mean).abs() + off).collect();
        // The result is stored in f64.
        let stored = mean.abs() * f64::UNIT / T::UNIT;
        means.push(Sum { value: mean, size: sizes.iter().sum::<f64>() / n + stored, roundings });
        let value = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        squares.push(Sum { value, size: sizes.iter().map(|s| s * s).sum(), roundings });
    }
    let what = format!("{pixels} pixels of {channels} channels around {center}");
    assert_sums::<T>(&format!("means, {what}"), &out[..channels], &means);
    assert_sums::<T>(&format!("squares, {what}"), &out[channels..], &squares);
}

fn every_moments<T: Real>() {
    for channels in CHANNELS {
        for pixels in [1, 2, 7, 13, CHUNK + 3] {
            [0.0, 1000.0].into_iter().for_each(|center| check_moments::<T>(channels, pixels, center));
        }
    }
}

#[test]
fn moments_equal_their_definition_whatever_the_mean() {
    on_every_isa(every_moments::<f32>);
    every_moments::<f64>();
}

#[test]
fn constant_channels_have_no_spread() {
    on_every_isa(|| {
        let mut out = [f64::NAN; 34];
        Moments { z: &[0.1f32; 17 * 1500], channels: 17, out: &mut out }.compute();
        assert!(out[..17].iter().all(|mean| (mean - f64::from(0.1f32)).abs() < 1e-9), "{out:?}");
        assert!(out[17..].iter().all(|square| *square < 1e-9), "{out:?}");
    });
}

/// Rows of pixels and coefficients with values in steps of 1/4: every operation on an element is exact, so that a ReLU
/// decides the same everywhere, and exact zeros occur.
struct Data<T> {
    rows: Rows,
    by: [Vec<T>; 4],
    g: GuardedBuffer<T>,
    z: GuardedBuffer<T>,
    residual: GuardedBuffer<T>,
    /// Row strides of the residual and of the output.
    steps: [usize; 2],
}

impl<T: Real> Data<T> {
    fn new(channels: usize, rows: usize, pixels: usize) -> Self {
        let inside = pixels * channels;
        let len = |step: usize| (rows - 1) * step + inside;
        let steps = [inside + 3, inside + 2 * channels];
        Self {
            rows: Rows { rows, pixels, channels },
            by: ["a", "b", "c", "d"].map(|name| quarters(name, channels)),
            g: GuardedBuffer::new(&quarters("g", rows * inside)),
            z: GuardedBuffer::new(&quarters("z", rows * inside)),
            residual: GuardedBuffer::new(&quarters("residual", len(steps[0]))),
            steps,
        }
    }

    fn inside(&self) -> usize {
        self.rows.pixels * self.rows.channels
    }

    fn coefficients(&self) -> Coefficients<'_, T> {
        let [mean, slope, shift, _] = &self.by;
        Coefficients { mean, slope, shift }
    }

    fn residual(&self, given: bool) -> Residual<'_, T> {
        given.then_some((&self.residual[..], self.steps[0]))
    }

    fn out(&self) -> GuardedBuffer<T> {
        GuardedBuffer::new(&random("out", (self.rows.rows - 1) * self.steps[1] + self.inside()))
    }

    /// Row, place in it and channel of every value.
    fn places(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let (inside, channels) = (self.inside(), self.rows.channels);
        (0..self.rows.rows).flat_map(move |row| (0..inside).map(move |at| (row, at, at % channels)))
    }

    /// z - mean, and the ReLU's input.
    fn before_relu(&self, residual: bool, row: usize, at: usize, c: usize) -> (f64, f64) {
        let [mean, slope, shift, _] = &self.by;
        let d = self.z[row * self.inside() + at].to_f64() - mean[c].to_f64();
        let added = if residual { self.residual[row * self.steps[0] + at].to_f64() } else { 0.0 };
        (d, d * slope[c].to_f64() + shift[c].to_f64() + added)
    }

    fn check_normalize(&self, residual: bool, relu: bool) {
        let mut y = self.out();
        let mut want = wide(&y);
        for (row, at, c) in self.places() {
            let (_, value) = self.before_relu(residual, row, at, c);
            want[row * self.steps[1] + at] = if relu { value.max(0.0) } else { value };
        }
        let (rows, by, residual) = (self.rows, self.coefficients(), self.residual(residual));
        Normalize { rows, z: (&self.z, self.inside()), residual, by, relu, raise: None, y: (&mut y, self.steps[1]) }
            .compute();
        assert_eq!(wide(&y), want, "{rows:?}, residual {}, relu {relu}", residual.is_some());
    }

    fn check_reduce(&self, residual: bool, relu: bool) {
        let channels = self.rows.channels;
        let mut g = GuardedBuffer::new(&self.g);
        let (mut gated, mut sums) = (wide(&g), vec![Sum::default(); 2 * channels]);
        for (row, at, c) in self.places() {
            let (d, value) = self.before_relu(residual, row, at, c);
            let g = &mut gated[row * self.inside() + at];
            if relu && value <= 0.0 {
                *g = 0.0;
            }
            sums[c].add(*g);
            sums[channels + c].add(*g * d);
        }
        let mut out = vec![f64::NAN; 2 * channels];
        let (rows, by, residual) = (self.rows, self.coefficients(), self.residual(residual));
        Reduce { rows, g: &mut g, z: &self.z, residual, by, relu, out: &mut out }.compute();
        let what = format!("{rows:?}, residual {}, relu {relu}", residual.is_some());
        assert_eq!(wide(&g), gated, "{what}");
        assert_sums::<T>(&what, &out, &sums);
    }

    fn check_gradient(&self) {
        let mut dz = self.out();
        let mut want = wide(&dz);
        let [a, b, d, center] = &self.by;
        for (row, at, c) in self.places() {
            let [g, z] = [&self.g, &self.z].map(|v| v[row * self.inside() + at].to_f64());
            let value = a[c].to_f64() * g + b[c].to_f64() * (z - center[c].to_f64()) + d[c].to_f64();
            want[row * self.steps[1] + at] = value;
        }
        let by = [&a[..], b, d, center];
        Gradient { rows: self.rows, g: &self.g, z: &self.z, by, dz: (&mut dz, self.steps[1]) }.compute();
        assert_eq!(wide(&dz), want, "{:?}", self.rows);
    }
}

fn every_size<T: Real>() {
    for channels in CHANNELS {
        for (rows, pixels) in [(1, 1), (1, 2), (2, 7), (3, 13)] {
            let data = Data::<T>::new(channels, rows, pixels);
            for (residual, relu) in [(false, false), (false, true), (true, false), (true, true)] {
                data.check_normalize(residual, relu);
                data.check_reduce(residual, relu);
            }
            data.check_gradient();
        }
    }
}

#[test]
fn normalization_and_its_gradient_equal_their_definitions() {
    on_every_isa(every_size::<f32>);
    every_size::<f64>();
}

fn nothing_hides<T: Real>() {
    const CHANNELS: usize = 19;
    let (one, zero, nan) = (vec![T::from_f64(1.0); CHANNELS], vec![T::ZERO; CHANNELS], T::from_f64(f64::NAN));
    let by = Coefficients { mean: &zero, slope: &one, shift: &zero };
    let rows = Rows { rows: 1, pixels: 1, channels: CHANNELS };
    let z: Vec<T> = (0..CHANNELS).map(|c| if c % 3 == 0 { nan } else { T::from_f64(c as f64 - 9.0) }).collect();
    let (mut y, mut g, mut out) = (zero.clone(), one.clone(), [0.0; 2 * CHANNELS]);
    Normalize { rows, z: (&z, CHANNELS), residual: None, by, relu: true, raise: None, y: (&mut y, CHANNELS) }.compute();
    Reduce { rows, g: &mut g, z: &z, residual: None, by, relu: true, out: &mut out }.compute();
    for c in 0..CHANNELS {
        let bad = c % 3 == 0;
        assert!(y[c].is_nan() == bad && out[CHANNELS + c].is_nan() == bad, "channel {c}: {} {}", y[c], g[c]);
        assert_eq!(g[c] == T::ZERO, !bad && c <= 9, "channel {c}");
    }
}

#[test]
fn relu_lets_nan_through() {
    on_every_isa(nothing_hides::<f32>);
    nothing_hides::<f64>();
}
