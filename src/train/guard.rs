//! Finding the first non-finite tensor. candle's `relu`, `max` and `argmax` drop NaN, so a diverged network would merely
//! score 10 %; the checks are therefore on losses and statistics, never on accuracy.

use candle_core::{DType, Result, Tensor};

use crate::model::Network;

/// A scalar on the tensor's device, 0 if every element is finite, else NaN: 0 times infinity is NaN.
fn zero(tensor: &Tensor) -> Result<Tensor> {
    tensor.affine(0.0, 0.0)?.sum_all()
}

/// Whether every element is finite.
pub fn is_finite(tensor: &Tensor) -> Result<bool> {
    Ok(zero(tensor)?.to_dtype(DType::F64)?.to_scalar::<f64>()?.is_finite())
}

/// Whether every element is 0 or more.
pub fn is_never_negative(tensor: &Tensor) -> Result<bool> {
    let least = tensor.flatten_all()?.min(0)?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    Ok(least >= 0.0)
}

/// The name of the first remembered statistic, in the network's order, that is not finite.
///
/// Called after every step, so it waits for the device only once while all is finite.
pub fn first_bad_statistic(network: &Network) -> Result<Option<String>> {
    let mut statistics = vec![];
    for layer in network.norms() {
        if let Some(moments) = layer.norm.inference() {
            statistics.push((format!("{}.running_mean", layer.name), moments.mean));
            statistics.push((format!("{}.running_var", layer.name), moments.var));
        }
    }
    let zeros = statistics.iter().map(|(_, tensor)| zero(tensor)).collect::<Result<Vec<_>>>()?;
    if zeros.is_empty() || is_finite(&Tensor::stack(&zeros, 0)?)? {
        return Ok(None);
    }
    first(statistics)
}

/// The name of the first statistic or parameter that is not finite.
pub fn first_bad(network: &Network) -> Result<Option<String>> {
    if let Some(name) = first_bad_statistic(network)? {
        return Ok(Some(name));
    }
    first(network.parameters().into_iter().map(|(name, var)| (name, var.as_detached_tensor())))
}

/// The first of `tensors` that is not finite.
fn first(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Result<Option<String>> {
    for (name, tensor) in tensors {
        if !is_finite(&tensor)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
