//! The kernels of the optimizers, in place: SGD with momentum, and AdamW.

use super::{Float, Kernel, Simd};

/// SGD: b = m b + (g + w p), then p -= rate b, or rate (g + w p + m b) for Nesterov; without momentum, p -= rate (g + w p).
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

/// AdamW: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g²; p = keep p - rate m / (root sqrt(v) + eps).
pub struct Adapt<'a, T> {
    /// Parameter.
    pub p: &'a mut [T],
    /// Running average of the gradient.
    pub m: &'a mut [T],
    /// Running average of its square.
    pub v: &'a mut [T],
    /// Gradient.
    pub g: &'a [T],
    /// What weight decay leaves of the parameter, 1 - lr w.
    pub keep: T,
    /// beta1 and beta2.
    pub betas: [T; 2],
    /// 1 - beta1 and 1 - beta2, computed in f64 and rounded once.
    pub new: [T; 2],
    /// Learning rate / (1 - beta1^t).
    pub rate: T,
    /// 1 / sqrt(1 - beta2^t).
    pub root: T,
    /// Added to the denominator.
    pub eps: T,
}

impl<T: Float> Kernel<T> for Adapt<'_, T> {
    fn check(&self) {
        let len = self.g.len();
        assert_eq!([self.p.len(), self.m.len(), self.v.len()], [len; 3], "a gradient and two averages per parameter");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let Adapt { p, m, v, g, keep, betas, new, rate, root, eps } = self;
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            *m = betas[0] * *m + new[0] * g;
            *v = betas[1] * *v + new[1] * (g * g);
            *p = keep * *p - rate * *m / (root * v.sqrt() + eps);
        }
    }
}
