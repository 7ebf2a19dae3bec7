//! Finding the first number that is none. candle's `relu`, `max` and `argmax` drop NaN, so a dead network would end as
//! a calm 10 %; hence the checks are on losses and statistics, never on accuracy.

use candle_core::{DType, Result, Tensor};

use crate::model::Network;

/// The sum of squares, a scalar on the tensor's device: finite where every element is, but for numbers beyond any use.
fn squares(tensor: &Tensor) -> Result<Tensor> {
    tensor.sqr()?.sum_all()
}

/// Whether every element is a finite number.
pub fn is_finite(tensor: &Tensor) -> Result<bool> {
    Ok(squares(tensor)?.to_dtype(DType::F64)?.to_scalar::<f64>()?.is_finite())
}

/// The name of the first remembered statistic, in the network's order, that is not finite.
///
/// Asked after every step, so the device is waited for only once as long as all is well.
pub fn first_bad_statistic(network: &Network) -> Result<Option<String>> {
    let mut statistics = vec![];
    for layer in network.norms() {
        if let Some(moments) = layer.norm.inference() {
            statistics.push((format!("{}.running_mean", layer.name), moments.mean));
            statistics.push((format!("{}.running_var", layer.name), moments.var));
        }
    }
    let sums = statistics.iter().map(|(_, tensor)| squares(tensor)).collect::<Result<Vec<_>>>()?;
    if sums.is_empty() || is_finite(&Tensor::stack(&sums, 0)?)? {
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
