//! Access to the values of CPU tensors as slices.

use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};

use super::Float;

/// Calls `f` with the values of a contiguous tensor on the CPU.
///
/// # Errors
/// The tensor is on another device, of another number type, or not contiguous.
pub fn with_values<T: Float, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((start, end))) => Ok(f(&T::cpu_storage_as_slice(storage)?[start..end])),
        _ => bail!("expected a contiguous tensor on the CPU, not {layout:?} on {:?}", tensor.device()),
    }
}

/// [`with_values`] of an optional tensor.
///
/// # Errors
/// As for [`with_values`].
pub fn with_optional_values<T: Float, R>(tensor: Option<&Tensor>, f: impl FnOnce(Option<&[T]>) -> R) -> Result<R> {
    match tensor {
        Some(tensor) => with_values(tensor, |values| f(Some(values))),
        None => Ok(f(None)),
    }
}

/// Calls `f` with the values of a contiguous tensor on the CPU, to change them in place, unseen by candle's graph.
///
/// # Errors
/// As for [`with_values`].
pub fn with_values_mut<T: Float, R>(tensor: &Tensor, f: impl FnOnce(&mut [T]) -> R) -> Result<R> {
    let call = Call { f: Mutex::new(Some(f)), result: Mutex::new(None), values: std::marker::PhantomData };
    tensor.inplace_op1(&call)?;
    match call.result.into_inner() {
        Ok(Some(result)) => Ok(result),
        _ => bail!("the in-place operation did not run"),
    }
}

/// A closure as one of candle's in-place operations.
struct Call<T, R, F> {
    f: Mutex<Option<F>>,
    result: Mutex<Option<R>>,
    values: std::marker::PhantomData<T>,
}

impl<T: Float, R, F: FnOnce(&mut [T]) -> R> InplaceOp1 for Call<T, R, F> {
    fn name(&self) -> &'static str {
        "change in place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let values = T::storage_mut(storage)?;
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("expected a contiguous tensor: {layout:?}") };
        let f = self.f.lock().ok().and_then(|mut f| f.take());
        let result = f.map(|f| f(&mut values[start..end]));
        self.result
            .lock()
            .map(|mut slot| *slot = result)
            .map_err(|_| candle_core::Error::Msg("an earlier in-place operation panicked".into()))
    }
}
