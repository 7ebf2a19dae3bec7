//! The kernel of gradient descent with momentum, in place.

use super::{Float, Kernel, Simd};

/// b = m b + (g + w p), then p -= rate b, or rate (g + w p + m b) for Nesterov, or rate (g + w p) without momentum.
pub struct Descend<'a, T> {
    /// Parameter.
    pub p: &'a mut [T],
    /// Momentum buffer; empty without momentum.
    pub b: &'a mut [T],
    /// Gradient.
    pub g: &'a [T],
    /// Momentum, m.
    pub momentum: T,
    /// Weight decay, w.
    pub decay: T,
    /// Learning rate.
    pub rate: T,
    /// Whether the step is along g + w p + m b (Nesterov) instead of b.
    pub nesterov: bool,
}

impl<T: Float> Kernel<T> for Descend<'_, T> {
    fn check(&self) {
        assert_eq!(self.p.len(), self.g.len(), "a gradient per parameter");
        assert!(self.b.is_empty() || self.b.len() == self.p.len(), "a momentum per parameter");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let Descend { p, b, g, momentum, decay, rate, nesterov } = self;
        if b.is_empty() {
            for (p, &g) in p.iter_mut().zip(g) {
                *p = *p - rate * (g + decay * *p);
            }
        } else if nesterov {
            for ((p, b), &g) in p.iter_mut().zip(b).zip(g) {
                let d = g + decay * *p;
                *b = momentum * *b + d;
                *p = *p - rate * (d + momentum * *b);
            }
        } else {
            for ((p, b), &g) in p.iter_mut().zip(b).zip(g) {
                *b = momentum * *b + (g + decay * *p);
                *p = *p - rate * *b;
            }
        }
    }
}
