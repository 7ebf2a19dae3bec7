//! Cross-entropy of logits, with its softmax in f64.

use super::{Real, like, output, read, values, with_real};
use crate::ops::check;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use std::marker::PhantomData;

pub(in crate::ops) fn cross_entropy(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    let (_, classes) = check::cross_entropy(logits, targets, label_smoothing)?;
    let targets = targets.to_vec1::<u32>()?.into_iter().map(|t| t as usize).collect::<Vec<_>>();
    if let Some(target) = targets.iter().find(|&&t| t >= classes) {
        bail!("cross_entropy: target {target} is not below {classes}, the number of classes");
    }
    with_real!(logits, T => {
        let op = CrossEntropy::<T> { targets, classes, smoothing: label_smoothing, real: PhantomData };
        logits.contiguous()?.apply_op1(op)
    })
}

struct CrossEntropy<T> {
    targets: Vec<usize>,
    classes: usize,
    smoothing: f64,
    real: PhantomData<T>,
}

impl<T: Real> CrossEntropy<T> {
    /// Each row of logits with its target and log Σ exp(z).
    fn rows<'a>(&'a self, logits: &'a [T]) -> impl Iterator<Item = (&'a [T], usize, f64)> {
        logits.chunks_exact(self.classes).zip(&self.targets).map(|(row, &target)| {
            let top = row.iter().fold(f64::NEG_INFINITY, |top, z| top.max(z.to_f64()));
            let total: f64 = row.iter().map(|z| (z.to_f64() - top).exp()).sum();
            (row, target, top + total.ln())
        })
    }
}

impl<T: Real> CustomOp1 for CrossEntropy<T> {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let s = self.smoothing;
        let losses = self.rows(values(storage, layout)?).map(|(row, target, log_total)| {
            let mut expected = row[target].to_f64();
            if s != 0.0 {
                // Relative to the logarithm of the total, so that large logits do not cancel.
                let mean = row.iter().map(|z| z.to_f64() - log_total).sum::<f64>() / row.len() as f64;
                expected = (1.0 - s) * (expected - log_total) + s * mean + log_total;
            }
            log_total - expected
        });
        let mean = losses.sum::<f64>() / self.targets.len() as f64;
        output(vec![T::from_f64(mean)], ())
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let scale = g.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()? / self.targets.len() as f64;
        let (off, on) = (self.smoothing / self.classes as f64, 1.0 - self.smoothing);
        let gradient = |logits: &[T]| -> Vec<T> {
            self.rows(logits)
                .flat_map(|(row, target, log_total)| {
                    row.iter().enumerate().map(move |(class, z)| {
                        let wanted = if class == target { off + on } else { off };
                        T::from_f64(scale * ((z.to_f64() - log_total).exp() - wanted))
                    })
                })
                .collect()
        };
        Ok(Some(like(logits, read::<T, _>(logits, gradient)?)?))
    }
}
