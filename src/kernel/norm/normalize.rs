//! Normalization, followed by residual and ReLU.

use super::{CoefficientLanes, Coefficients, Residual, Rows};
use crate::kernel::{Float, Kernel, Simd};

/// y = slope (z - mean) + shift, with the residual added and ReLU applied where asked for.
pub struct Normalize<'a, T> {
    /// The rows.
    pub rows: Rows,
    /// Input and its row stride.
    pub z: (&'a [T], usize),
    /// What is added before the ReLU.
    pub residual: Residual<'a, T>,
    /// The coefficients.
    pub by: Coefficients<'a, T>,
    /// Whether ReLU follows.
    pub relu: bool,
    /// Added after the ReLU, per channel: the threshold of a normalizer that has one.
    pub raise: Option<&'a [T]>,
    /// Output and its row stride.
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
