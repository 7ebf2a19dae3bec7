//! The kernels of gradient descent with momentum, in place.

use super::{Float, Kernel, Simd};

/// b = momentum b + (g + decay p)
pub struct Accumulate<'a, T> {
    /// Momentum buffer.
    pub b: &'a mut [T],
    /// Gradient.
    pub g: &'a [T],
    /// Parameter.
    pub p: &'a [T],
    /// Momentum.
    pub momentum: T,
    /// Weight decay.
    pub decay: T,
}

impl<T: Float> Kernel<T> for Accumulate<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        for ((b, &g), &p) in self.b.iter_mut().zip(self.g).zip(self.p) {
            *b = self.momentum * *b + (g + self.decay * p);
        }
    }
}

/// p -= rate (u g + v b + w p): with the buffer alone (v = 1), Nesterov's form (1, momentum, decay), or without momentum
/// (1, 0, decay).
pub struct Descend<'a, T> {
    /// Parameter.
    pub p: &'a mut [T],
    /// Gradient.
    pub g: &'a [T],
    /// Momentum buffer.
    pub b: &'a [T],
    /// Learning rate.
    pub rate: T,
    /// u, v, w.
    pub mix: [T; 3],
}

impl<T: Float> Kernel<T> for Descend<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let [u, v, w] = self.mix;
        for ((p, &g), &b) in self.p.iter_mut().zip(self.g).zip(self.b) {
            *p = *p - self.rate * (u * g + v * b + w * *p);
        }
    }
}
