//! Reusable buffers.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use crate::kernel::Float;

/// What the passes of a network share: free buffers (every step takes and returns the same ones) and the choice of algorithm.
#[derive(Debug)]
pub struct Workspace<T> {
    /// Free buffers by length.
    waiting: Mutex<HashMap<usize, Vec<Vec<T>>>>,
    /// Whether convolutions may use Winograd's algorithm where it is faster.
    pub winograd: bool,
}

impl<T: Float> Workspace<T> {
    /// A workspace without buffers.
    pub fn new(winograd: bool) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), winograd })
    }

    /// A buffer of `len` unspecified values.
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer<T> {
        let waiting = self.lock().get_mut(&len).and_then(Vec::pop);
        Buffer { values: waiting.unwrap_or_else(|| vec![T::ZERO; len]), home: self.clone() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Vec<Vec<T>>>> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Values that return to their workspace when dropped.
#[derive(Debug)]
pub struct Buffer<T: Float> {
    values: Vec<T>,
    home: Arc<Workspace<T>>,
}

impl<T: Float> Buffer<T> {
    /// The workspace it belongs to.
    pub fn workspace(&self) -> &Arc<Workspace<T>> {
        &self.home
    }
}

impl<T: Float> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T: Float> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

impl<T: Float> Drop for Buffer<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.home.lock().entry(values.len()).or_default().push(values);
    }
}
