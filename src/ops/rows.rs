//! Memories of the newest rows, tensors (size, ...) whose row i has age i; and running averages; both updated in place.

use candle_core::{DType, Result, Tensor, Var};

use super::{Moments, own_kernel};
use crate::kernel::rows::{Blend, PoolMoments};
use crate::kernel::{Float, Kernel, with_values, with_values_mut};

/// Calls `$own` with the number type of a tensor on the CPU; evaluates `$plain` for any other tensor.
macro_rules! on_cpu {
    ($tensor:expr, $own:ident($($argument:expr),*), $plain:expr) => {
        match $tensor.dtype() {
            DType::F32 if own_kernel($tensor) => $own::<f32>($($argument),*),
            DType::F64 if own_kernel($tensor) => $own::<f64>($($argument),*),
            _ => $plain,
        }
    };
}

/// Puts `row` at age 0 and ages the others by one; only the newest `kept` remain. The row after those, if there is one, is
/// filled with `empty`.
pub fn push_row(memory: &Var, row: &Tensor, kept: usize, empty: f64) -> Result<()> {
    let (row, all) = (row.contiguous()?, memory.as_detached_tensor());
    let kept = kept.clamp(1, memory.dim(0)?);
    on_cpu!(memory, push(&all, &row, kept, empty), {
        let mut rows = vec![row.unsqueeze(0)?];
        if kept > 1 {
            rows.push(all.narrow(0, 0, kept - 1)?);
        }
        if kept < memory.dim(0)? {
            rows.push(row.unsqueeze(0)?.affine(0.0, empty)?);
        }
        all.slice_set(&Tensor::cat(&rows, 0)?, 0, 0)
    })
}

fn push<T: Float>(memory: &Tensor, row: &Tensor, kept: usize, empty: f64) -> Result<()> {
    with_values(row, |row: &[T]| {
        with_values_mut(memory, |all: &mut [T]| {
            let len = row.len();
            all.copy_within(..(kept - 1) * len, len);
            all[..len].copy_from_slice(row);
            all[kept * len..].iter_mut().take(len).for_each(|v| *v = T::from_f64(empty));
        })
    })?
}

/// The number of rows before the first whose first element is `empty`. Waits for the device.
pub fn filled_rows(memory: &Tensor, empty: f64) -> Result<usize> {
    on_cpu!(memory, filled(memory, empty), {
        let column = memory.flatten_from(1)?.narrow(1, 0, 1)?.flatten_all()?.to_dtype(DType::F64)?;
        Ok(column.to_vec1::<f64>()?.iter().take_while(|v| **v != empty).count())
    })
}

fn filled<T: Float>(memory: &Tensor, empty: f64) -> Result<usize> {
    let step = memory.elem_count() / memory.dim(0)?;
    with_values(memory, |rows: &[T]| rows.iter().step_by(step).take_while(|v| v.to_f64() != empty).count())
}

/// Adds 1 to a tensor of one element; returns the value before. Waits for the device.
pub fn count_up(counter: &Var) -> Result<f64> {
    on_cpu!(counter, counted(counter), {
        let before = counter.as_detached_tensor().to_dtype(DType::F64)?.to_vec1::<f64>()?[0];
        counter.set(&counter.as_detached_tensor().affine(1.0, 1.0)?)?;
        Ok(before)
    })
}

fn counted<T: Float>(counter: &Var) -> Result<f64> {
    with_values_mut(&counter.as_detached_tensor(), |values: &mut [T]| {
        let before = values[0].to_f64();
        values[0] = T::from_f64(before + 1.0);
        before
    })
}

/// Σ a_i rows_i over the first `weights.len()` rows of `rows`, (k, ...).
pub fn weighted_rows(rows: &Tensor, weights: &[f64]) -> Result<Tensor> {
    let rows = rows.narrow(0, 0, weights.len())?.contiguous()?;
    on_cpu!(&rows, weighted(&rows, weights), {
        let a = Tensor::new(weights, rows.device())?.to_dtype(rows.dtype())?.unsqueeze(0)?;
        a.matmul(&rows.flatten_from(1)?)?.reshape(&rows.dims()[1..])
    })
}

fn numbers<T: Float>(weights: &[f64]) -> Vec<T> {
    weights.iter().map(|&a| T::from_f64(a)).collect()
}

fn weighted<T: Float>(rows: &Tensor, weights: &[f64]) -> Result<Tensor> {
    let mut mean = vec![T::ZERO; rows.elem_count() / weights.len()];
    with_values(rows, |means| {
        let (weights, mean) = (&numbers(weights)[..], &mut mean[..]);
        PoolMoments { means, vars: &[], weights, total: false, mean, var: &mut [] }.compute();
    })?;
    Tensor::from_vec(mean, &rows.dims()[1..], rows.device())
}

/// mu = Σ a_i mu_i and v = Σ a_i v_i, or, with `total`, Σ a_i (v_i + (mu_i - mu)²), over the first `weights.len()` rows
/// of `means` and `vars`, (k, C).
pub fn pooled_moments(means: &Tensor, vars: &Tensor, weights: &[f64], total: bool) -> Result<Moments> {
    let k = weights.len();
    let (means, vars) = (means.narrow(0, 0, k)?.contiguous()?, vars.narrow(0, 0, k)?.contiguous()?);
    on_cpu!(&means, pooled(&means, &vars, weights, total), {
        let mean = weighted_rows(&means, weights)?;
        let spread = if total { (vars + means.broadcast_sub(&mean)?.sqr()?)? } else { vars };
        Ok(Moments { mean, var: weighted_rows(&spread, weights)? })
    })
}

fn pooled<T: Float>(means: &Tensor, vars: &Tensor, weights: &[f64], total: bool) -> Result<Moments> {
    let channels = means.elem_count() / weights.len();
    let (mut mean, mut var) = (vec![T::ZERO; channels], vec![T::ZERO; channels]);
    with_values(means, |means| {
        with_values(vars, |vars| {
            let (weights, mean, var) = (&numbers(weights)[..], &mut mean[..], &mut var[..]);
            PoolMoments { means, vars, weights, total, mean, var }.compute();
        })
    })??;
    Ok(Moments {
        mean: Tensor::from_vec(mean, channels, means.device())?,
        var: Tensor::from_vec(var, channels, means.device())?,
    })
}

/// A running average takes in a batch with weight a, in place: m += a (m_B - m),
/// v += a (scale v_B - v) + between (m_B - m)².
pub fn blend_moments(average: &Moments, batch: &Moments, a: f64, scale: f64, between: f64) -> Result<()> {
    on_cpu!(&average.mean, blend(average, batch, [a, scale, between]), {
        let apart = (&batch.mean - &average.mean)?;
        let grown = (average.var.affine(1.0 - a, 0.0)? + batch.var.affine(a * scale, 0.0)?)?;
        average.var.slice_set(&(grown + apart.sqr()?.affine(between, 0.0)?)?, 0, 0)?;
        average.mean.slice_set(&(&average.mean + apart.affine(a, 0.0)?)?, 0, 0)
    })
}

fn blend<T: Float>(average: &Moments, batch: &Moments, by: [f64; 3]) -> Result<()> {
    let [weight, scale, between] = by.map(T::from_f64);
    let (batch_mean, batch_var) = (batch.mean.contiguous()?, batch.var.contiguous()?);
    with_values_mut(&average.mean, |mean| {
        with_values_mut(&average.var, |var| {
            with_values(&batch_mean, |batch_mean| {
                with_values(&batch_var, |batch_var| {
                    Blend { mean, var, batch_mean, batch_var, weight, scale, between }.compute();
                })
            })
        })
    })???
}
