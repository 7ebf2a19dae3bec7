//! Kernels of statistics memories: rows of C values, one per batch, newest first.

use super::{Float, Kernel, Simd};

/// Pooled statistics: m = Σ a_i m_i, and v = Σ a_i v_i or, with `total`, Σ a_i (v_i + (m_i - m)²).
pub struct PoolMoments<'a, T> {
    /// Means, row after row.
    pub means: &'a [T],
    /// Variances; empty if only means are pooled.
    pub vars: &'a [T],
    /// A weight per row.
    pub weights: &'a [T],
    /// Whether the variance between the rows' means is included (law of total variance).
    pub total: bool,
    /// The pooled mean.
    pub mean: &'a mut [T],
    /// The pooled variance; empty if there is none.
    pub var: &'a mut [T],
}

impl<T: Float> Kernel<T> for PoolMoments<'_, T> {
    fn check(&self) {
        assert!(self.means.len() >= self.weights.len() * self.mean.len(), "a row per weight");
        assert!(self.vars.len() >= self.weights.len() * self.var.len(), "a row per weight");
        assert!(self.var.is_empty() || self.var.len() == self.mean.len(), "as many variances as means");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let PoolMoments { means, vars, weights, total, mean, var } = self;
        mean.fill(T::ZERO);
        for (row, &a) in means.chunks_exact(mean.len()).zip(weights) {
            mean.iter_mut().zip(row).for_each(|(sum, &v)| *sum += a * v);
        }
        if var.is_empty() {
            return;
        }
        var.fill(T::ZERO);
        for ((means, vars), &a) in means.chunks_exact(mean.len()).zip(vars.chunks_exact(mean.len())).zip(weights) {
            let rows = means.iter().zip(vars).zip(&*mean);
            if total {
                for (sum, ((&row, &v), &mean)) in var.iter_mut().zip(rows) {
                    let apart = row - mean;
                    *sum += a * (v + apart * apart);
                }
            } else {
                var.iter_mut().zip(vars).for_each(|(sum, &v)| *sum += a * v);
            }
        }
    }
}

/// Updates running averages of mean and variance with one batch, of weight a: m += a (m_B - m),
/// v += a (scale v_B - v) + between (m_B - m)².
pub struct Blend<'a, T> {
    /// The running mean m, updated in place.
    pub mean: &'a mut [T],
    /// The running variance v, updated in place.
    pub var: &'a mut [T],
    /// The batch's mean, m_B.
    pub batch_mean: &'a [T],
    /// The batch's variance, v_B.
    pub batch_var: &'a [T],
    /// a.
    pub weight: T,
    /// Factor on the batch's variance.
    pub scale: T,
    /// Factor on the squared distance of the means.
    pub between: T,
}

impl<T: Float> Kernel<T> for Blend<'_, T> {
    fn check(&self) {
        let lengths = [self.var.len(), self.batch_mean.len(), self.batch_var.len()];
        assert_eq!(lengths, [self.mean.len(); 3], "as many means as variances, of both");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let batch = self.batch_mean.iter().zip(self.batch_var);
        for ((mean, var), (&batch_mean, &batch_var)) in self.mean.iter_mut().zip(self.var).zip(batch) {
            let apart = batch_mean - *mean;
            *var = *var + self.weight * (self.scale * batch_var - *var) + self.between * (apart * apart);
            *mean = *mean + self.weight * apart;
        }
    }
}
