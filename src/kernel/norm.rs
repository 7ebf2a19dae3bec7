//! The kernels of normalization: moments, normalization with what follows it, and the two passes of its gradient.
//!
//! All of them work on rows of pixels of C channels, the rows of each operand some steps apart, so that images with
//! and without a border are read and written in place. A row is finished, all its channels, before the next one is begun:
//! it is in the cache then.

use super::{Float, Kernel, Simd, end};

/// Rows of pixels.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// How many.
    pub rows: usize,
    /// Pixels of each.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

impl Rows {
    /// From one row to the next where they lie one after the other.
    pub(super) fn step(&self) -> usize {
        self.pixels * self.channels
    }

    pub(super) fn check(&self, what: &str, len: usize, step: usize) {
        let needed = end(&[self.rows.saturating_sub(1), self.pixels], &[step, self.channels]);
        assert!(self.rows == 0 || needed <= len, "{what}: {needed} values needed, {len} given");
    }
}

/// Coefficients per channel of y = slope (z - mean) + shift.
#[derive(Debug, Clone, Copy)]
pub struct Coefficients<'a, T> {
    /// Mean that is subtracted.
    pub mean: &'a [T],
    /// gamma/s.
    pub slope: &'a [T],
    /// beta.
    pub shift: &'a [T],
}

/// What is added before the rectifier, and the step between its rows.
pub type Residual<'a, T> = Option<(&'a [T], usize)>;

/// Mean and sum of squared deviations per channel of contiguous pixels, written as C means and C sums.
pub struct Moments<'a, T> {
    /// The pixels.
    pub z: &'a [T],
    /// Channels of a pixel.
    pub channels: usize,
    /// 2C numbers.
    pub out: &'a mut [f64],
}

/// Pixels summed in the number type before a sum goes on in f64.
const CHUNK: usize = 1024;

impl<T: Float> Kernel<T> for Moments<'_, T> {
    fn check(&self) {
        assert_eq!(self.z.len() % self.channels, 0, "whole pixels");
        assert_eq!(self.out.len(), 2 * self.channels, "a mean and a sum per channel");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let channels = self.channels;
        let pixels = self.z.len() / channels;
        for c in (0..channels).step_by(S::LANES) {
            let n = S::LANES.min(channels - c);
            let mut mean = [0.0; 16];
            let mut first = 0;
            while first < pixels {
                let count = CHUNK.min(pixels - first);
                let z = self.z.as_ptr().add(first * channels + c);
                let sums = sums::<S, 1>(count, Values { z, channels, n });
                (0..n).for_each(|i| mean[i] += sums[0][i].to_f64());
                first += count;
            }
            mean.iter_mut().for_each(|m| *m /= pixels as f64);
            // The mean is rounded to T; what the rounding did to the deviations is put right at the end.
            let mut rounded = [T::ZERO; 16];
            (0..n).for_each(|i| rounded[i] = T::from_f64(mean[i]));
            let about = S::load(rounded.as_ptr());
            let (mut total, mut squares) = ([0.0; 16], [0.0; 16]);
            first = 0;
            while first < pixels {
                let count = CHUNK.min(pixels - first);
                let z = self.z.as_ptr().add(first * channels + c);
                let sums = sums::<S, 2>(count, Deviations { z, channels, n, about });
                for i in 0..n {
                    total[i] += sums[0][i].to_f64();
                    squares[i] += sums[1][i].to_f64();
                }
                first += count;
            }
            for i in 0..n {
                let off = total[i] / pixels as f64;
                self.out[c + i] = rounded[i].to_f64() + off;
                self.out[channels + c + i] = (squares[i] - total[i] * off).max(0.0);
            }
        }
    }
}

/// What is summed over pixels. A trait of its own since a closure is not compiled for its caller's instruction set.
pub(super) trait Terms<S: Simd, const K: usize> {
    unsafe fn at(&self, pixel: usize) -> [S::V; K];
}

/// z
struct Values<S: Simd> {
    z: *const S::T,
    channels: usize,
    n: usize,
}

impl<S: Simd> Terms<S, 1> for Values<S> {
    #[inline(always)]
    unsafe fn at(&self, pixel: usize) -> [S::V; 1] {
        [S::load_n(self.z.add(pixel * self.channels), self.n)]
    }
}

/// z - mean and its square.
struct Deviations<S: Simd> {
    z: *const S::T,
    channels: usize,
    n: usize,
    about: S::V,
}

impl<S: Simd> Terms<S, 2> for Deviations<S> {
    #[inline(always)]
    unsafe fn at(&self, pixel: usize) -> [S::V; 2] {
        let d = S::sub(S::load_n(self.z.add(pixel * self.channels), self.n), self.about);
        [d, S::mul(d, d)]
    }
}

/// g and g (z - mean), g made zero where the rectifier was.
struct GatedGradients<S: Simd> {
    g: *mut S::T,
    z: *const S::T,
    residual: Option<*const S::T>,
    channels: usize,
    n: usize,
    by: CoefficientLanes<S>,
    relu: bool,
}

impl<S: Simd> Terms<S, 2> for GatedGradients<S> {
    #[inline(always)]
    unsafe fn at(&self, pixel: usize) -> [S::V; 2] {
        let at = pixel * self.channels;
        let d = S::sub(S::load_n(self.z.add(at), self.n), self.by.mean);
        let mut g = S::load_n(self.g.add(at), self.n);
        if self.relu {
            let mut y = S::fma(d, self.by.slope, self.by.shift);
            if let Some(residual) = self.residual {
                y = S::add(y, S::load_n(residual.add(at), self.n));
            }
            g = S::gate(y, g);
            S::store_n(self.g.add(at), g, self.n);
        }
        [g, S::mul(g, d)]
    }
}

/// Sums of K vectors over `count` pixels, four partial sums each; their order is fixed.
#[inline(always)]
pub(super) unsafe fn sums<S: Simd, const K: usize>(count: usize, terms: impl Terms<S, K>) -> [[S::T; 16]; K] {
    let mut parts = [[S::splat(S::T::ZERO); K]; 4];
    let mut p = 0;
    while p + 4 <= count {
        for (i, part) in parts.iter_mut().enumerate() {
            let values = terms.at(p + i);
            for (sum, &value) in part.iter_mut().zip(&values) {
                *sum = S::add(*sum, value);
            }
        }
        p += 4;
    }
    while p < count {
        let values = terms.at(p);
        for (sum, &value) in parts[0].iter_mut().zip(&values) {
            *sum = S::add(*sum, value);
        }
        p += 1;
    }
    let mut out = [[S::T::ZERO; 16]; K];
    for (k, out) in out.iter_mut().enumerate() {
        let sum = S::add(S::add(parts[0][k], parts[1][k]), S::add(parts[2][k], parts[3][k]));
        S::store(out.as_mut_ptr(), sum);
    }
    out
}

/// y = slope (z - mean) + shift, a residual added and rectified where asked for.
pub struct Normalize<'a, T> {
    /// The rows.
    pub rows: Rows,
    /// Input and the step between its rows.
    pub z: (&'a [T], usize),
    /// What is added.
    pub residual: Residual<'a, T>,
    /// The coefficients.
    pub by: Coefficients<'a, T>,
    /// Whether the rectifier follows.
    pub relu: bool,
    /// What is added behind it, per channel, where it is not to begin at 0.
    pub raise: Option<&'a [T]>,
    /// Output and the step between its rows.
    pub y: (&'a mut [T], usize),
}

impl<T: Float> Kernel<T> for Normalize<'_, T> {
    fn check(&self) {
        self.rows.check("input", self.z.0.len(), self.z.1);
        self.rows.check("output", self.y.0.len(), self.y.1);
        if let Some((residual, step)) = self.residual {
            self.rows.check("residual", residual.len(), step);
        }
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let Rows { rows, pixels, channels } = self.rows;
        for row in 0..rows {
            for c in (0..channels).step_by(S::LANES) {
                let n = S::LANES.min(channels - c);
                let by = CoefficientLanes::<S>::new(&self.by, c, n);
                let z = self.z.0.as_ptr().add(row * self.z.1 + c);
                let y = self.y.0.as_mut_ptr().add(row * self.y.1 + c);
                let residual = self.residual.map(|(r, step)| r.as_ptr().add(row * step + c));
                let raise = self.raise.map(|raise| S::load_n(raise[c..c + n].as_ptr(), n));
                for at in (0..pixels).map(|p| p * channels) {
                    let mut v = by.apply(S::load_n(z.add(at), n));
                    if let Some(residual) = residual {
                        v = S::add(v, S::load_n(residual.add(at), n));
                    }
                    if self.relu {
                        v = S::gate(v, v);
                    }
                    if let Some(raise) = raise {
                        v = S::add(v, raise);
                    }
                    S::store_n(y.add(at), v, n);
                }
            }
        }
    }
}

/// The coefficients of one vector of channels.
#[derive(Clone, Copy)]
pub(super) struct CoefficientLanes<S: Simd> {
    pub mean: S::V,
    pub slope: S::V,
    pub shift: S::V,
}

impl<S: Simd> CoefficientLanes<S> {
    #[inline(always)]
    pub unsafe fn new(by: &Coefficients<S::T>, c: usize, n: usize) -> Self {
        let [mean, slope, shift] = [by.mean, by.slope, by.shift].map(|v| S::load_n(v[c..c + n].as_ptr(), n));
        Self { mean, slope, shift }
    }

    #[inline(always)]
    unsafe fn apply(&self, z: S::V) -> S::V {
        S::fma(S::sub(z, self.mean), self.slope, self.shift)
    }
}

/// First pass of the gradient: g becomes zero where the rectifier was, and per channel Σ g and Σ g (z - mean).
pub struct Reduce<'a, T> {
    /// The rows; those of `g` and `z` lie one after the other.
    pub rows: Rows,
    /// dL/dy, on return that of what went into the rectifier.
    pub g: &'a mut [T],
    /// Input of the forward pass.
    pub z: &'a [T],
    /// What was added.
    pub residual: Residual<'a, T>,
    /// The coefficients of the forward pass.
    pub by: Coefficients<'a, T>,
    /// Whether there was a rectifier.
    pub relu: bool,
    /// 2C numbers.
    pub out: &'a mut [f64],
}

impl<T: Float> Kernel<T> for Reduce<'_, T> {
    fn check(&self) {
        self.rows.check("gradient", self.g.len(), self.rows.step());
        self.rows.check("input", self.z.len(), self.rows.step());
        if let Some((residual, step)) = self.residual {
            self.rows.check("residual", residual.len(), step);
        }
        assert_eq!(self.out.len(), 2 * self.rows.channels, "two sums per channel");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let Rows { rows, pixels, channels } = self.rows;
        self.out.fill(0.0);
        let (total, along) = self.out.split_at_mut(channels);
        for row in 0..rows {
            for c in (0..channels).step_by(S::LANES) {
                let n = S::LANES.min(channels - c);
                let by = CoefficientLanes::<S>::new(&self.by, c, n);
                let start = row * self.rows.step() + c;
                let (g, z) = (self.g.as_mut_ptr().add(start), self.z.as_ptr().add(start));
                let residual = self.residual.map(|(r, step)| r.as_ptr().add(row * step + c));
                let sums = sums::<S, 2>(pixels, GatedGradients { g, z, residual, channels, n, by, relu: self.relu });
                for i in 0..n {
                    total[c + i] += sums[0][i].to_f64();
                    along[c + i] += sums[1][i].to_f64();
                }
            }
        }
    }
}

/// Second pass of the gradient: dz = a g + b (z - center) + d.
pub struct Gradient<'a, T> {
    /// The rows; those of `g` and `z` lie one after the other.
    pub rows: Rows,
    /// The gradient that the first pass left.
    pub g: &'a [T],
    /// Input of the forward pass.
    pub z: &'a [T],
    /// a, b, d and center, per channel.
    pub by: [&'a [T]; 4],
    /// Output and the step between its rows.
    pub dz: (&'a mut [T], usize),
}

impl<T: Float> Kernel<T> for Gradient<'_, T> {
    fn check(&self) {
        self.rows.check("gradient", self.g.len(), self.rows.step());
        self.rows.check("input", self.z.len(), self.rows.step());
        self.rows.check("output", self.dz.0.len(), self.dz.1);
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let Rows { rows, pixels, channels } = self.rows;
        for row in 0..rows {
            for c in (0..channels).step_by(S::LANES) {
                let n = S::LANES.min(channels - c);
                let flow = GradientLanes::<S>::new(self.by, c, n);
                let start = row * self.rows.step() + c;
                let (g, z) = (self.g.as_ptr().add(start), self.z.as_ptr().add(start));
                let dz = self.dz.0.as_mut_ptr().add(row * self.dz.1 + c);
                for at in (0..pixels).map(|p| p * channels) {
                    let value = flow.gradient(S::load_n(g.add(at), n), S::load_n(z.add(at), n));
                    S::store_n(dz.add(at), value, n);
                }
            }
        }
    }
}

/// The second pass's coefficients of one vector of channels.
pub(super) struct GradientLanes<S: Simd> {
    a: S::V,
    b: S::V,
    d: S::V,
    center: S::V,
}

impl<S: Simd> GradientLanes<S> {
    #[inline(always)]
    pub unsafe fn new(by: [&[S::T]; 4], c: usize, n: usize) -> Self {
        let [a, b, d, center] = by.map(|v| S::load_n(v[c..c + n].as_ptr(), n));
        Self { a, b, d, center }
    }

    #[inline(always)]
    pub unsafe fn gradient(&self, g: S::V, z: S::V) -> S::V {
        S::fma(self.a, g, S::fma(self.b, S::sub(z, self.center), self.d))
    }
}
