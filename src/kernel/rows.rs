//! Kernels of memories: rows of C numbers, one per batch, newest first.

use super::{Float, Kernel, Simd};

/// Σ a_i row_i, and of variances Σ a_i v_i or, with `total`, Σ a_i (v_i + (row_i - Σ a row)²).
pub struct PoolMoments<'a, T> {
    /// Means, rows one after the other.
    pub means: &'a [T],
    /// Variances; empty if only means are pooled.
    pub vars: &'a [T],
    /// A weight per row.
    pub weights: &'a [T],
    /// Whether the spread between the rows counts as variance.
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

/// A running average of means and variances takes in one more batch with weight a: m += a (m_B - m),
/// v += a (scale v_B - v) + between (m_B - m)².
pub struct Blend<'a, T> {
    /// The averages, in place.
    pub mean: &'a mut [T],
    /// The averages, in place.
    pub var: &'a mut [T],
    /// The batch's.
    pub batch_mean: &'a [T],
    /// The batch's.
    pub batch_var: &'a [T],
    /// a.
    pub weight: T,
    /// What the batch's variance is multiplied with.
    pub scale: T,
    /// How much the distance of the means counts.
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
