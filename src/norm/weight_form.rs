//! What a normalizer asks of the weights before it.

use candle_core::{Result, Tensor};

use crate::kernel::Float;

/// A form of weights, (out, ...); each output's row by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightForm {
    /// As they are.
    #[default]
    Free,
    /// Less their mean, so that inputs of one mean give outputs of mean 0 (MABN's stand-in for subtracting a mean).
    Centred,
}

impl WeightForm {
    /// The weights in that form, differentiable.
    pub fn of(self, weight: &Tensor) -> Result<Tensor> {
        match self {
            Self::Free => Ok(weight.clone()),
            Self::Centred => {
                let rows = weight.flatten_from(1)?;
                rows.broadcast_sub(&rows.mean_keepdim(1)?)?.reshape(weight.shape())
            }
        }
    }

    /// Gives the weights themselves that form, where it is a subset of all weights that gradients do not leave.
    pub fn impose(self, weight: &Tensor) -> Result<()> {
        match self {
            Self::Free => Ok(()),
            Self::Centred => weight.slice_set(&self.of(&weight.detach())?.contiguous()?, 0, 0),
        }
    }

    /// From the gradient of the weights in that form to theirs, `rows` in all.
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
