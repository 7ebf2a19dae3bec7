//! Finding the first number that is none. candle's `relu`, `max` and `argmax` drop NaN, so a dead network would end as
//! a calm 10 %; hence the checks are on losses and statistics, never on accuracy.

use candle_core::{DType, Result, Tensor};

use crate::model::Network;

/// Whether every element is a finite number: a sum of squares of finite numbers can only overflow where the numbers
/// are beyond any use.
pub fn is_finite(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?.is_finite())
}

/// The name of the first remembered statistic, in the network's order, that is not finite.
pub fn first_bad_statistic(network: &Network) -> Result<Option<String>> {
    for layer in network.norms() {
        if let Some(moments) = layer.norm.inference() {
            for (tensor, name) in [(&moments.mean, "running_mean"), (&moments.var, "running_var")] {
                if !is_finite(tensor)? {
                    return Ok(Some(format!("{}.{name}", layer.name)));
                }
            }
        }
    }
    Ok(None)
}

/// The name of the first statistic or parameter that is not finite.
pub fn first_bad(network: &Network) -> Result<Option<String>> {
    if let Some(name) = first_bad_statistic(network)? {
        return Ok(Some(name));
    }
    for (name, var) in network.parameters() {
        if !is_finite(&var.as_detached_tensor())? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
