//! Kernels for the CPU, in f32 and f64, on tensors in candle's layout, channels before positions.
//!
//! How work is cut depends on the shapes alone and partial sums are added in a fixed order, so results are bit-identical for
//! any number of threads.

mod depthwise;
mod loss;
mod norm;

pub(super) use depthwise::{depthwise_kernel_gradient, depthwise_storage};
pub(super) use loss::cross_entropy;
pub(super) use norm::{channel_map, channel_map_gradient, channel_map_storage, gradient_sums, moments};

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, Tensor, WithDType, bail};
use rayon::prelude::*;

/// Elements in a piece of work that is worth giving to another thread.
const GRAIN: usize = 1 << 14;

/// The number types the kernels are written for.
trait Real: WithDType {}

impl Real for f32 {}

impl Real for f64 {}

/// Evaluates an expression with `$t` standing for the number type of a tensor, or of the CPU's storage of one.
macro_rules! with_real {
    ($tensor:expr, $t:ident => $body:expr) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            other => candle_core::bail!("no kernel for {other:?}"),
        }
    };
}
use with_real;

/// The values of a contiguous operand.
fn values<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let values = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets().and_then(|(start, end)| values.get(start..end)) {
        Some(values) => Ok(values),
        None => bail!("a kernel was given a non-contiguous tensor {:?}", layout.dims()),
    }
}

/// Calls `f` with the values of a contiguous tensor on the CPU.
fn read<T: Real, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(values(storage, layout)?)),
        _ => bail!("a kernel for the CPU was given a tensor on {:?}", tensor.device()),
    }
}

/// [`read`] of two tensors at once.
fn read2<T: Real, R>(a: &Tensor, b: &Tensor, f: impl FnOnce(&[T], &[T]) -> R) -> Result<R> {
    read(a, |a| read(b, |b| f(a, b)))?
}

/// What a forward kernel returns to candle.
fn output<T: Real>(values: Vec<T>, shape: impl Into<Shape>) -> Result<(CpuStorage, Shape)> {
    Ok((T::to_cpu_storage_owned(values), shape.into()))
}

/// A gradient in the shape of its operand.
fn like<T: Real>(operand: &Tensor, values: Vec<T>) -> Result<Tensor> {
    Tensor::from_vec(values, operand.shape(), &Device::Cpu)
}

/// Calls `f(i, plane)` on the planes of `out`, `size` elements each, several to a piece of work.
fn for_each_plane<T: Real>(out: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
    let size = size.max(1);
    let together = GRAIN.div_ceil(size);
    let piece = |(piece, planes): (usize, &mut [T])| {
        let first = piece * together;
        planes.chunks_mut(size).enumerate().for_each(|(i, plane)| f(first + i, plane));
    };
    if out.len() <= together * size || rayon::current_num_threads() == 1 {
        out.chunks_mut(together * size).enumerate().for_each(piece);
    } else {
        out.par_chunks_mut(together * size).enumerate().for_each(piece);
    }
}

/// `f` of each index, in order; in parallel if `work` elements in total make it worthwhile.
fn map<R: Send>(count: usize, work: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    if work <= GRAIN || rayon::current_num_threads() == 1 {
        (0..count).map(f).collect()
    } else {
        (0..count).into_par_iter().map(f).collect()
    }
}
