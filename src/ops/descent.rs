//! The update of stochastic gradient descent, in place on the CPU.

use candle_core::{DType, Result, Tensor, bail};

use super::own_kernel;
use crate::kernel::update::Descend;
use crate::kernel::{Float, Kernel, with_values, with_values_mut};

/// The update of a parameter p by its gradient g: d = g + w p; b = m b + d; p -= lr b, or lr (d + m b) for Nesterov, lr d
/// without momentum.
#[derive(Debug, Clone, Copy)]
pub struct SgdStep {
    /// The learning rate lr.
    pub rate: f64,
    /// The momentum m.
    pub momentum: f64,
    /// The weight decay w.
    pub decay: f64,
    /// Whether momentum is Nesterov's.
    pub nesterov: bool,
}

/// Updates a parameter and its momentum buffer (initially zeros, none without momentum) in place.
///
/// # Errors
/// Tensors that differ in shape or type.
pub fn sgd_step(parameter: &Tensor, gradient: &Tensor, buffer: Option<&Tensor>, by: SgdStep) -> Result<()> {
    check_form("sgd_step", parameter, buffer.into_iter().chain([gradient]))?;
    let gradient = gradient.contiguous()?;
    match parameter.dtype() {
        DType::F32 if own_kernel(parameter) => in_place::<f32>(parameter, &gradient, buffer, by),
        DType::F64 if own_kernel(parameter) => in_place::<f64>(parameter, &gradient, buffer, by),
        _ => plain(parameter, &gradient, buffer, by),
    }
}

fn in_place<T: Float>(parameter: &Tensor, gradient: &Tensor, buffer: Option<&Tensor>, by: SgdStep) -> Result<()> {
    let [rate, momentum, decay] = [by.rate, by.momentum, by.decay].map(T::from_f64);
    let nesterov = by.nesterov;
    let sgd_step = |p: &mut [T], b: &mut [T]| {
        with_values(gradient, |g| Descend { p, b, g, momentum, decay, rate, nesterov }.compute())
    };
    match buffer {
        Some(buffer) => with_values_mut(parameter, |p| with_values_mut(buffer, |b| sgd_step(p, b)))??,
        None => with_values_mut(parameter, |p| sgd_step(p, &mut []))?,
    }
}

/// The same in candle's operations.
fn plain(parameter: &Tensor, gradient: &Tensor, buffer: Option<&Tensor>, by: SgdStep) -> Result<()> {
    let set = |to: &Tensor, value: Tensor| to.slice_set(&value.contiguous()?, 0, 0);
    let decayed = (gradient + parameter.affine(by.decay, 0.0)?)?;
    let mut direction = decayed.clone();
    if let Some(buffer) = buffer {
        let accumulated = (buffer.affine(by.momentum, 0.0)? + &decayed)?;
        direction = if by.nesterov { (decayed + accumulated.affine(by.momentum, 0.0)?)? } else { accumulated.clone() };
        set(buffer, accumulated)?;
    }
    set(parameter, (parameter - direction.affine(by.rate, 0.0)?)?)
}

/// Refuses a gradient or buffer whose shape or type is not the parameter's.
pub(super) fn check_form<'a>(
    operation: &str,
    parameter: &Tensor,
    others: impl IntoIterator<Item = &'a Tensor>,
) -> Result<()> {
    for other in others {
        if parameter.dims() != other.dims() || parameter.dtype() != other.dtype() {
            let [p, o] = [parameter, other].map(|t| (t.dims().to_vec(), t.dtype()));
            bail!("{operation}: the parameter is {p:?}, its gradient or buffer {o:?}");
        }
    }
    Ok(())
}
