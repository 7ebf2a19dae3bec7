//! Memories of the newest rows: tensors (size, ...), row i the one of age i.

use candle_core::{Result, Tensor, Var};

use super::{own_kernel, Moments};
use crate::kernel::{with_values, with_values_mut, Float};

/// Evaluates an expression with `$t` standing for the number type of a tensor on the CPU; another one elsewhere.
macro_rules! on_cpu {
    ($tensor:expr, $t:ident => $body:expr, $otherwise:expr) => {
        match $tensor.dtype() {
            candle_core::DType::F32 if own_kernel($tensor) => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 if own_kernel($tensor) => {
                type $t = f64;
                $body
            }
            _ => $otherwise,
        }
    };
}

/// Puts `row` at age 0; the others grow older by one, the oldest is forgotten.
pub fn push_row(memory: &Var, row: &Tensor) -> Result<()> {
    let row = row.contiguous()?;
    on_cpu!(memory, T => {
        with_values(&row, |row: &[T]| {
            with_values_mut(&memory.as_detached_tensor(), |all: &mut [T]| {
                all.copy_within(..all.len() - row.len(), row.len());
                all[..row.len()].copy_from_slice(row);
            })
        })?
    }, {
        let row = row.unsqueeze(0)?;
        match memory.dim(0)? {
            1 => memory.set(&row),
            size => memory.set(&Tensor::cat(&[&row, &memory.as_detached_tensor().narrow(0, 0, size - 1)?], 0)?),
        }
    })
}

/// How many rows there are before the first whose first entry is `empty`. Waits for the device.
pub fn filled_rows(memory: &Tensor, empty: f64) -> Result<usize> {
    on_cpu!(memory, T => {
        let step = memory.elem_count() / memory.dim(0)?;
        with_values(memory, |rows: &[T]| first(rows, step, empty))
    }, {
        let column = memory.flatten_from(1)?.narrow(1, 0, 1)?.flatten_all()?;
        Ok(first(&column.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()?, 1, empty))
    })
}

fn first<T: Float>(rows: &[T], step: usize, empty: f64) -> usize {
    rows.iter().step_by(step).take_while(|v| v.to_f64() != empty).count()
}

/// Σ a_i rows_i of `weights.len()` rows (k, C), the first of `rows`.
pub fn weighted_rows(rows: &Tensor, weights: &[f64]) -> Result<Tensor> {
    let rows = rows.narrow(0, 0, weights.len())?.contiguous()?;
    on_cpu!(&rows, T => {
        let sum: Vec<T> = with_values(&rows, |rows: &[T]| weighted(rows, weights))?;
        Tensor::from_vec(sum, &rows.dims()[1..], rows.device())
    }, {
        let a = Tensor::new(weights, rows.device())?.to_dtype(rows.dtype())?.unsqueeze(0)?;
        a.matmul(&rows.flatten_from(1)?)?.reshape(&rows.dims()[1..])
    })
}

/// mu = Σ a_i mu_i and v = Σ a_i v_i, or, with `total`, Σ a_i (v_i + (mu_i - mu)²), of rows (k, C), the first of each.
pub fn pooled_moments(means: &Tensor, vars: &Tensor, weights: &[f64], total: bool) -> Result<Moments> {
    let mean = weighted_rows(means, weights)?;
    if !total {
        return Ok(Moments { var: weighted_rows(vars, weights)?, mean });
    }
    let k = weights.len();
    let (means, vars) = (means.narrow(0, 0, k)?.contiguous()?, vars.narrow(0, 0, k)?.contiguous()?);
    let var = on_cpu!(&means, T => {
        let var: Vec<T> = with_values(&means, |means: &[T]| {
            with_values(&mean, |mean: &[T]| with_values(&vars, |vars: &[T]| spread(means, vars, mean, weights)))
        })???;
        Tensor::from_vec(var, mean.shape(), mean.device())?
    }, {
        weighted_rows(&(vars + means.broadcast_sub(&mean)?.sqr()?)?, weights)?
    });
    Ok(Moments { mean, var })
}

fn weighted<T: Float>(rows: &[T], weights: &[f64]) -> Vec<T> {
    let mut sums = vec![0.0; rows.len() / weights.len()];
    for (row, a) in rows.chunks_exact(sums.len()).zip(weights) {
        sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += a * v.to_f64());
    }
    sums.into_iter().map(T::from_f64).collect()
}

fn spread<T: Float>(means: &[T], vars: &[T], mean: &[T], weights: &[f64]) -> Vec<T> {
    let mut sums = vec![0.0; mean.len()];
    for ((means, vars), a) in means.chunks_exact(mean.len()).zip(vars.chunks_exact(mean.len())).zip(weights) {
        for (sum, ((mean_i, var), mean)) in sums.iter_mut().zip(means.iter().zip(vars).zip(mean)) {
            let apart = mean_i.to_f64() - mean.to_f64();
            *sum += a * (var.to_f64() + apart * apart);
        }
    }
    sums.into_iter().map(T::from_f64).collect()
}
