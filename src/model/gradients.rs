//! Gradients of parameters, in tensors that are reused from step to step.

use std::collections::{HashMap, hash_map::Entry};

use candle_core::{Result, Tensor, TensorId};

use crate::kernel::{Float, with_values_mut};

/// Sums of gradients over micro-batches, by the parameter's id.
#[derive(Debug, Default)]
pub struct Gradients(HashMap<TensorId, Sum>);

#[derive(Debug)]
struct Sum {
    tensor: Tensor,
    /// Whether anything has been added since it was cleared.
    begun: bool,
}

impl Gradients {
    /// Starts a new sum for every parameter.
    pub fn clear(&mut self) {
        self.0.values_mut().for_each(|sum| sum.begun = false);
    }

    /// The gradient of a parameter, if there is one.
    pub fn get(&self, parameter: &Tensor) -> Option<&Tensor> {
        self.0.get(&parameter.id()).filter(|sum| sum.begun).map(|sum| &sum.tensor)
    }

    /// Adds a gradient to a parameter's sum.
    ///
    /// # Errors
    /// A shape other than the sum's.
    pub fn add(&mut self, parameter: &Tensor, gradient: Tensor) -> Result<()> {
        match self.0.entry(parameter.id()) {
            Entry::Occupied(mut sum) => {
                let sum = sum.get_mut();
                sum.tensor = if sum.begun { (&sum.tensor + gradient)? } else { gradient };
                sum.begun = true;
            }
            Entry::Vacant(slot) => drop(slot.insert(Sum { tensor: gradient, begun: true })),
        }
        Ok(())
    }

    /// [`Self::add`] of a small gradient given as values.
    pub(super) fn add_values<T: Float>(&mut self, parameter: &Tensor, values: Vec<T>) -> Result<()> {
        self.add(parameter, Tensor::from_vec(values, parameter.shape(), parameter.device())?)
    }

    /// Lets `write` overwrite a parameter's sum with a gradient, or add to it where its second argument is true.
    pub(super) fn write<T: Float>(&mut self, parameter: &Tensor, write: impl FnOnce(&mut [T], bool)) -> Result<()> {
        let sum = match self.0.entry(parameter.id()) {
            Entry::Occupied(sum) => sum.into_mut(),
            Entry::Vacant(slot) => slot.insert(Sum { tensor: parameter.zeros_like()?, begun: false }),
        };
        with_values_mut(&sum.tensor, |values| write(values, sum.begun))?;
        sum.begun = true;
        Ok(())
    }
}
