//! Noise on the weights of a trained network, as on analog hardware.

use candle_core::{DType, Device, Tensor, Var};

use crate::model::Network;
use crate::{Result, rng};

/// A copy of a network's weights, for perturbing and restoring them.
///
/// They are what convolutions and linear maps multiply by, parameters of two dimensions or more; scales, shifts and biases
/// stay exact.
pub struct Weights(Vec<(String, Var, Tensor)>);

impl Weights {
    /// The weights of `network`.
    pub fn of(network: &Network) -> Result<Self> {
        let weights = network.parameters().into_iter().filter(|(_, var)| var.rank() > 1);
        let copied = weights.map(|(name, var)| {
            let clean = var.as_detached_tensor().copy()?;
            Ok((name, var, clean))
        });
        Ok(Self(copied.collect::<Result<_>>()?))
    }

    /// Sets the weights to the copied ones plus Gaussian noise of `sd` times the standard deviation of each tensor. Draw number
    /// `draw` is the same in every call, and for every network with tensors of the same names and shapes.
    pub fn disturb(&self, sd: f64, draw: usize) -> Result<()> {
        for (name, var, clean) in &self.0 {
            let mut values = clean.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
            let mut stream = rng::stream(draw as u64, &format!("weight noise/{name}"));
            values.iter_mut().for_each(|value| *value += sd * spread * stream.normal());
            let noisy = Tensor::from_vec(values, clean.shape(), &Device::Cpu)?;
            var.set(&noisy.to_dtype(clean.dtype())?.to_device(clean.device())?)?;
        }
        Ok(())
    }

    /// Restores the copied weights.
    pub fn restore(&self) -> Result<()> {
        Ok(self.0.iter().try_for_each(|(_, var, clean)| var.set(clean))?)
    }
}
