//! Weights in the form that the normalizer after them requires.

use candle_core::{Result, Tensor};

use super::attached;
use crate::kernel::Float;
use crate::model::Gradients;
use crate::norm::{Call, WeightForm};

/// The weight of a convolution or linear layer, (out, ...).
#[derive(Debug)]
pub(super) struct Weight {
    tensor: Tensor,
    form: WeightForm,
}

impl Weight {
    /// A weight of that form.
    pub fn new(tensor: Tensor, form: WeightForm) -> Self {
        Self { tensor, form }
    }

    /// Its shape.
    pub fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// The weight in its form, detached unless the pass is differentiated.
    pub fn at(&self, call: Call) -> Result<Tensor> {
        self.form.of(&attached(&self.tensor, call))
    }

    /// The weight in its form, detached and contiguous.
    pub fn values(&self) -> Result<Tensor> {
        self.form.of(&self.tensor.detach())?.contiguous()
    }

    /// Lets `write` overwrite the weight's gradient sum, or add to it where its second argument is true.
    pub fn write<T: Float>(&self, gradients: &mut Gradients, write: impl FnOnce(&mut [T], bool)) -> Result<()> {
        if self.form == WeightForm::Free {
            return gradients.write(&self.tensor, write);
        }
        let mut own = vec![T::ZERO; self.tensor.elem_count()];
        write(&mut own, false);
        self.form.gradient(self.tensor.dim(0)?, &mut own);
        gradients.add_values(&self.tensor, own)
    }
}
