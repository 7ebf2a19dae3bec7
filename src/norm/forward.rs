//! Layers on tensors of any device: what [`super::Norm::forward`] does with a normalizer's coefficients.

use candle_core::{Result, Tensor};

use super::{Call, Input, Norm, Producer, remembered};
use crate::ops::{self, ChannelMapGradient};

pub(super) fn forward<N: Norm + ?Sized>(
    norm: &N,
    x: &Tensor,
    call: Call,
    producer: Option<&dyn Producer>,
) -> Result<Tensor> {
    norm.affine().count(x.shape())?;
    let per = remembered::granularity(norm, call.pass);
    let moments = remembered::observes(norm, call.pass).then(|| ops::moments(x, per)).transpose()?;
    let coefficients = remembered::coefficients(norm, Input { call, shape: x.shape(), moments, producer })?;
    let parameters: Vec<Tensor> = match call.pass.is_differentiated() {
        true => norm.parameters(),
        false => norm.parameters().iter().map(Tensor::detach).collect(),
    };
    let map = coefficients.map.clone();
    let y = ops::differentiable_linear_map(x, &parameters, map, move |x, g, wanted| {
        let map = &coefficients.map;
        let sums = ops::gradient_sums(x, g, &map.mean, per)?;
        let gradient = coefficients.gradient(&sums)?;
        let by = ChannelMapGradient { a: map.slope.clone(), b: gradient.b, center: gradient.center, d: gradient.d };
        let dx = wanted.then(|| ops::channel_map_gradient(x, g, &by)).transpose()?;
        Ok((dx, gradient.parameters))
    })?;
    norm.after_map().map_or(Ok(y.clone()), |after_map| after_map.apply(&y, call.pass))
}
