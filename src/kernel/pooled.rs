//! The kernels of normalization followed by ReLU and 2x2 max-pooling: forward, and the two passes of the gradient.
//!
//! The pooling's input is never stored. The gradient's passes recompute it from z, which they read anyway, and find the
//! position of the maximum, the first in reading order. Rows and columns beyond the last whole window are not pooled.

use super::norm::{CoefficientLanes, Coefficients, GradientLanes, Rows, Terms, sums};
use super::{Float, Kernel, Simd};

impl Rows {
    /// The 2x2 windows of these rows.
    fn windows(&self) -> Self {
        Self { rows: self.rows / 2, pixels: self.pixels / 2, channels: self.channels }
    }

    /// Offsets of a window's four pixels.
    fn taps(&self) -> [usize; 4] {
        [0, self.channels, self.step(), self.step() + self.channels]
    }
}

/// y = max over windows of relu(slope (z - mean) + shift); NaN where the window contains one.
pub struct Normalize<'a, T> {
    /// The rows of z, one after the other.
    pub rows: Rows,
    /// Input.
    pub z: &'a [T],
    /// The coefficients.
    pub by: Coefficients<'a, T>,
    /// Added after the ReLU, per channel: the threshold of a normalizer that has one.
    pub raise: Option<&'a [T]>,
    /// Output, a pixel per window, and its row stride.
    pub y: (&'a mut [T], usize),
}

impl<T: Float> Kernel<T> for Normalize<'_, T> {
    fn check(&self) {
        self.rows.check("input", self.z.len(), self.rows.step());
        self.rows.windows().check("output", self.y.0.len(), self.y.1);
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let (Rows { rows, pixels, channels }, taps) = (self.rows.windows(), self.rows.taps());
        for row in 0..rows {
            for c in (0..channels).step_by(S::LANES) {
                let n = S::LANES.min(channels - c);
                let by = CoefficientLanes::<S>::new(&self.by, c, n);
                let z = self.z.as_ptr().add(2 * row * self.rows.step() + c);
                let y = self.y.0.as_mut_ptr().add(row * self.y.1 + c);
                let raise = self.raise.map(|raise| S::load_n(raise[c..c + n].as_ptr(), n));
                for p in 0..pixels {
                    let (max, _) = Window::<S>::new(z.add(2 * p * channels), taps, n, &by).maximum();
                    let mut v = S::gate(max, max);
                    if let Some(raise) = raise {
                        v = S::add(v, raise);
                    }
                    S::store_n(y.add(p * channels), v, n);
                }
            }
        }
    }
}

/// First pass of the gradient: per channel Σ g and Σ g (z - mean), over the pixels that are the positive maximum of
/// their window.
pub struct Reduce<'a, T> {
    /// The rows of z, one after the other.
    pub rows: Rows,
    /// dL/dy, a pixel per window.
    pub g: &'a [T],
    /// Input of the forward pass.
    pub z: &'a [T],
    /// The coefficients of the forward pass.
    pub by: Coefficients<'a, T>,
    /// The sums: C of g, then C of g (z - mean).
    pub out: &'a mut [f64],
}

impl<T: Float> Kernel<T> for Reduce<'_, T> {
    fn check(&self) {
        self.rows.check("input", self.z.len(), self.rows.step());
        self.rows.windows().check("gradient", self.g.len(), self.rows.windows().step());
        assert_eq!(self.out.len(), 2 * self.rows.channels, "two sums per channel");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let (windows, taps) = (self.rows.windows(), self.rows.taps());
        let channels = windows.channels;
        self.out.fill(0.0);
        let (total, along) = self.out.split_at_mut(channels);
        for row in 0..windows.rows {
            for c in (0..channels).step_by(S::LANES) {
                let n = S::LANES.min(channels - c);
                let by = CoefficientLanes::<S>::new(&self.by, c, n);
                let g = self.g.as_ptr().add(row * windows.step() + c);
                let z = self.z.as_ptr().add(2 * row * self.rows.step() + c);
                let sums = sums::<S, 2>(windows.pixels, Maxima { g, z, channels, taps, n, by });
                for i in 0..n {
                    total[c + i] += sums[0][i].to_f64();
                    along[c + i] += sums[1][i].to_f64();
                }
            }
        }
    }
}

/// Second pass of the gradient: dz = slope g + b (z - center) + d, where g is the window's gradient at its positive
/// maximum and 0 elsewhere.
pub struct Gradient<'a, T> {
    /// The rows of z, one after the other.
    pub rows: Rows,
    /// dL/dy, a pixel per window.
    pub g: &'a [T],
    /// Input of the forward pass.
    pub z: &'a [T],
    /// The coefficients of the forward pass.
    pub by: Coefficients<'a, T>,
    /// b, d and center, per channel.
    pub flow: [&'a [T]; 3],
    /// Output and its row stride.
    pub dz: (&'a mut [T], usize),
}

impl<T: Float> Kernel<T> for Gradient<'_, T> {
    fn check(&self) {
        self.rows.check("input", self.z.len(), self.rows.step());
        self.rows.check("output", self.dz.0.len(), self.dz.1);
        self.rows.windows().check("gradient", self.g.len(), self.rows.windows().step());
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let (Rows { rows, pixels, channels }, windows, taps) = (self.rows, self.rows.windows(), self.rows.taps());
        let dz_taps = [0, channels, self.dz.1, self.dz.1 + channels];
        for row in (0..rows).step_by(2) {
            for c in (0..channels).step_by(S::LANES) {
                let n = S::LANES.min(channels - c);
                let by = CoefficientLanes::<S>::new(&self.by, c, n);
                let [b, d, center] = self.flow;
                let flow = GradientLanes::<S>::new([self.by.slope, b, d, center], c, n);
                let z = self.z.as_ptr().add(row * self.rows.step() + c);
                let dz = self.dz.0.as_mut_ptr().add(row * self.dz.1 + c);
                // Windows of this pair of rows; none where the last row is unpaired.
                let count = if row + 1 < rows { windows.pixels } else { 0 };
                let g = self.g.as_ptr().add(row / 2 * windows.step() + c);
                for p in 0..count {
                    let (z, dz) = (z.add(2 * p * channels), dz.add(2 * p * channels));
                    let shares = Window::<S>::new(z, taps, n, &by).shares(S::load_n(g.add(p * channels), n));
                    for tap in 0..4 {
                        let value = flow.gradient(shares[tap], S::load_n(z.add(taps[tap]), n));
                        S::store_n(dz.add(dz_taps[tap]), value, n);
                    }
                }
                for y in 0..(rows - row).min(2) {
                    for at in (2 * count..pixels).map(|p| p * channels) {
                        let z = S::load_n(z.add(y * self.rows.step() + at), n);
                        S::store_n(dz.add(y * self.dz.1 + at), flow.gradient(S::splat(T::ZERO), z), n);
                    }
                }
            }
        }
    }
}

/// The four pixels of a window: z - mean, and the ReLU's input.
struct Window<S: Simd> {
    d: [S::V; 4],
    y: [S::V; 4],
}

impl<S: Simd> Window<S> {
    #[inline(always)]
    unsafe fn new(z: *const S::T, taps: [usize; 4], n: usize, by: &CoefficientLanes<S>) -> Self {
        let mut window = Self { d: [by.mean; 4], y: [by.mean; 4] };
        for tap in 0..4 {
            window.d[tap] = S::sub(S::load_n(z.add(taps[tap]), n), by.mean);
            window.y[tap] = S::fma(window.d[tap], by.slope, by.shift);
        }
        window
    }

    /// The maximum, and its z - mean.
    #[inline(always)]
    unsafe fn maximum(&self) -> (S::V, S::V) {
        let (mut max, mut d) = (self.y[0], self.d[0]);
        for tap in 1..4 {
            d = S::greater(self.y[tap], max, self.d[tap], d);
            max = S::greater(self.y[tap], max, self.y[tap], max);
        }
        (max, d)
    }

    /// `g` at the position of the maximum if that is positive, zero elsewhere.
    #[inline(always)]
    unsafe fn shares(&self, g: S::V) -> [S::V; 4] {
        // The maximum of the taps before each one.
        let mut before = self.y;
        for tap in 1..4 {
            before[tap] = match tap {
                1 => self.y[0],
                _ => S::greater(self.y[tap - 1], before[tap - 1], self.y[tap - 1], before[tap - 1]),
            };
        }
        let (max, zero) = (S::greater(self.y[3], before[3], self.y[3], before[3]), S::splat(S::T::ZERO));
        let (mut left, mut shares) = (S::gate(max, g), [zero; 4]);
        for tap in [3, 2, 1] {
            shares[tap] = S::greater(self.y[tap], before[tap], left, zero);
            left = S::greater(self.y[tap], before[tap], zero, left);
        }
        shares[0] = left;
        shares
    }
}

/// g and g (z - mean) at the windows' maxima; zero where the ReLU was inactive.
struct Maxima<S: Simd> {
    g: *const S::T,
    z: *const S::T,
    channels: usize,
    taps: [usize; 4],
    n: usize,
    by: CoefficientLanes<S>,
}

impl<S: Simd> Terms<S, 2> for Maxima<S> {
    #[inline(always)]
    unsafe fn at(&self, window: usize) -> [S::V; 2] {
        let z = self.z.add(2 * window * self.channels);
        let (max, d) = Window::<S>::new(z, self.taps, self.n, &self.by).maximum();
        let g = S::gate(max, S::load_n(self.g.add(window * self.channels), self.n));
        [g, S::mul(g, d)]
    }
}
