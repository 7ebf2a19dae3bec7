//! Constraints of a normalizer on the weights of the layer before it.

use candle_core::{Result, Tensor};

use crate::kernel::Float;

/// A constraint on weights (out, ...), applied to each output's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightForm {
    /// None.
    #[default]
    Free,
    /// Each row has mean 0, so that inputs of equal means give outputs of mean 0 (MABN's replacement for subtracting a mean).
    Centred,
}

impl WeightForm {
    /// The weights with the constraint applied, differentiable.
    pub fn of(self, weight: &Tensor) -> Result<Tensor> {
        match self {
            Self::Free => Ok(weight.clone()),
            Self::Centred => {
                let rows = weight.flatten_from(1)?;
                rows.broadcast_sub(&rows.mean_keepdim(1)?)?.reshape(weight.shape())
            }
        }
    }

    /// Applies the constraint to the weights in place; gradients through [`Self::of`] preserve it.
    pub fn impose(self, weight: &Tensor) -> Result<()> {
        match self {
            Self::Free => Ok(()),
            Self::Centred => weight.slice_set(&self.of(&weight.detach())?.contiguous()?, 0, 0),
        }
    }

    /// Turns the gradient of the constrained weights, of `rows` rows, into that of the weights, in place.
    pub fn gradient<T: Float>(self, rows: usize, gradient: &mut [T]) {
        if self == Self::Centred {
            let len = gradient.len() / rows;
            for row in gradient.chunks_exact_mut(len) {
                let mean = row.iter().map(|g| g.to_f64()).sum::<f64>() / len as f64;
                row.iter_mut().for_each(|g| *g += T::from_f64(-mean));
            }
        }
    }
}
