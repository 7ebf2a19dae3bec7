//! The two passes of the gradient of normalization.

use super::{CoefficientLanes, Coefficients, Residual, Rows, Terms, sums};
use crate::kernel::{Float, Kernel, Simd};

/// First pass of the gradient: sets g to zero where the ReLU was inactive, and sums Σ g and Σ g (z - mean) per channel.
pub struct Reduce<'a, T> {
    /// The rows; contiguous in `g` and `z`.
    pub rows: Rows,
    /// dL/dy; on return, the gradient with respect to the ReLU's input.
    pub g: &'a mut [T],
    /// Input of the forward pass.
    pub z: &'a [T],
    /// The residual of the forward pass.
    pub residual: Residual<'a, T>,
    /// The coefficients of the forward pass.
    pub by: Coefficients<'a, T>,
    /// Whether there was a ReLU.
    pub relu: bool,
    /// The sums: C of g, then C of g (z - mean).
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

/// g and g (z - mean), with g set to zero where the ReLU was inactive.
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

/// Second pass of the gradient: dz = a g + b (z - center) + d.
pub struct Gradient<'a, T> {
    /// The rows; contiguous in `g` and `z`.
    pub rows: Rows,
    /// The gradient as the first pass left it.
    pub g: &'a [T],
    /// Input of the forward pass.
    pub z: &'a [T],
    /// a, b, d and center, per channel.
    pub by: [&'a [T]; 4],
    /// Output and its row stride.
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
pub(in crate::kernel) struct GradientLanes<S: Simd> {
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
