//! What is remembered of the newest batches, newest first, and, for Double-Forward, of those they pushed out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{Error, Result, Shape, Tensor, Var};
use candle_nn::VarBuilder;

use super::NormError;
use super::state::StateTensor;
use crate::ops;

/// N tensors (capacity, ...) with a row per batch; a slot is empty where the first value of its row in the last tensor is that
/// tensor's initial value.
#[derive(Debug, Clone)]
pub(super) struct Ring<const N: usize> {
    rows: [Var; N],
    empty: [f64; N],
    /// What the newest update's batches pushed out, newest first; a refresh still pools it.
    forgotten: Arc<Mutex<VecDeque<[Tensor; N]>>>,
    filled: Arc<AtomicUsize>,
}

/// The array of `of(0)` to `of(N - 1)`.
fn each<T, const N: usize>(of: impl FnMut(usize) -> Result<T>) -> Result<[T; N]> {
    let all = (0..N).map(of).collect::<Result<Vec<_>>>()?;
    all.try_into().map_err(|_| Error::Msg(format!("expected {N} rows")))
}

impl<const N: usize> Ring<N> {
    /// An empty ring, or the one in `vb`.
    pub fn new(state: [StateTensor; N], shapes: [Shape; N], vb: &VarBuilder) -> Result<Self> {
        let rows = each(|i| state[i].create(shapes[i].clone(), vb))?;
        Ok(Self { rows, empty: state.map(|tensor| tensor.empty), forgotten: Arc::default(), filled: Arc::default() })
    }

    fn capacity(&self) -> usize {
        self.rows[0].dims()[0]
    }

    /// Slots filled so far. On the CPU read from the tensor each time, since a checkpoint may be loaded into it at any time; on
    /// other devices, where reading synchronizes, only until a slot is filled.
    pub fn filled(&self) -> Result<usize> {
        let marker = &self.rows[N - 1];
        if marker.device().is_cpu() || self.filled.load(Ordering::Relaxed) == 0 {
            self.filled.store(ops::filled_rows(&marker.as_detached_tensor(), self.empty[N - 1])?, Ordering::Relaxed);
        }
        Ok(self.filled.load(Ordering::Relaxed))
    }

    /// Adds the batch at age 0 and keeps the newest `kept`; those beyond the capacity are not in checkpoints.
    pub fn push(&self, batch: &[Tensor; N], kept: usize) -> Result<()> {
        let (capacity, filled) = (self.capacity(), self.filled()?);
        if kept > capacity && filled == capacity {
            let oldest = each(|i| self.rows[i].as_detached_tensor().narrow(0, capacity - 1, 1)?.copy())?;
            let mut forgotten = self.forgotten();
            forgotten.push_front(oldest);
            forgotten.truncate(kept - capacity);
        }
        for ((memory, row), empty) in self.rows.iter().zip(batch).zip(self.empty) {
            ops::push_row(memory, row, kept, empty)?;
        }
        self.filled.store((filled + 1).min(kept).min(capacity), Ordering::Relaxed);
        Ok(())
    }

    /// Replaces the batch of that age.
    pub fn replace(&self, age: usize, batch: &[Tensor; N], layer: &str) -> Result<()> {
        self.require(age, layer)?;
        let row = |i: usize| batch[i].reshape(self.rows[i].narrow(0, 0, 1)?.shape())?.contiguous();
        if let Some(beyond) = age.checked_sub(self.capacity()) {
            self.forgotten()[beyond] = each(row)?;
            return Ok(());
        }
        for (i, memory) in self.rows.iter().enumerate() {
            memory.as_detached_tensor().slice_set(&row(i)?, 0, age)?;
        }
        Ok(())
    }

    /// The rows of `count` batches from age `first` on, including those pushed out.
    pub fn slots(&self, first: usize, count: usize) -> Result<[Tensor; N]> {
        let capacity = self.capacity();
        let kept = (first + count).min(capacity).saturating_sub(first);
        let (forgotten, beyond) = (self.forgotten(), (first + kept).saturating_sub(capacity));
        each(|i| {
            let rows = self.rows[i].as_detached_tensor().narrow(0, first.min(capacity - 1), kept)?;
            if kept == count {
                return Ok(rows);
            }
            let older = forgotten.iter().skip(beyond).take(count - kept).map(|batch| batch[i].clone());
            let all: Vec<Tensor> = std::iter::once(rows).filter(|_| kept > 0).chain(older).collect();
            Tensor::cat(&all, 0)
        })
    }

    fn forgotten(&self) -> MutexGuard<'_, VecDeque<[Tensor; N]>> {
        self.forgotten.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many batches are remembered.
    ///
    /// # Errors
    /// The batch of that age is not among them.
    pub fn require(&self, age: usize, layer: &str) -> Result<usize> {
        let filled = self.filled()?;
        let remembered = if filled == self.capacity() { filled + self.forgotten().len() } else { filled };
        if age < remembered {
            return Ok(remembered);
        }
        Err(NormError::NothingToRefresh { layer: layer.into(), age, remembered }.into())
    }
}
