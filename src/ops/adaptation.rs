//! The update of Adam with decoupled weight decay, in place on the CPU.

use candle_core::{DType, Result, Tensor};

use super::descent::check_form;
use super::own_kernel;
use crate::kernel::update::Adapt;
use crate::kernel::{Float, Kernel, with_values, with_values_mut};

/// The t-th update of a parameter p by its gradient g: p -= lr w p; m += (1 - beta1)(g - m);
/// v = beta2 v + (1 - beta2) g²; p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps).
#[derive(Debug, Clone, Copy)]
pub struct AdamWStep {
    /// The learning rate lr.
    pub rate: f64,
    /// beta1 and beta2.
    pub betas: [f64; 2],
    /// eps.
    pub eps: f64,
    /// The weight decay w.
    pub decay: f64,
    /// The update's number t, from 1.
    pub number: usize,
}

impl AdamWStep {
    /// 1 - lr w, lr / (1 - beta1^t) and 1 / sqrt(1 - beta2^t).
    fn factors(&self) -> [f64; 3] {
        let t = i32::try_from(self.number).unwrap_or(i32::MAX);
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powi(t));
        [1.0 - self.rate * self.decay, self.rate / first, second.sqrt().recip()]
    }
}

/// Updates a parameter and its averages m and v (initially zeros) in place.
///
/// # Errors
/// Tensors that differ in shape or type.
pub fn adamw_step(parameter: &Tensor, gradient: &Tensor, averages: [&Tensor; 2], by: AdamWStep) -> Result<()> {
    check_form("adamw_step", parameter, averages.into_iter().chain([gradient]))?;
    let gradient = gradient.contiguous()?;
    match parameter.dtype() {
        DType::F32 if own_kernel(parameter) => in_place::<f32>(parameter, &gradient, averages, by),
        DType::F64 if own_kernel(parameter) => in_place::<f64>(parameter, &gradient, averages, by),
        _ => plain(parameter, &gradient, averages, by),
    }
}

fn in_place<T: Float>(parameter: &Tensor, gradient: &Tensor, [m, v]: [&Tensor; 2], by: AdamWStep) -> Result<()> {
    let [keep, rate, root] = by.factors().map(T::from_f64);
    let betas = by.betas.map(T::from_f64);
    let new = by.betas.map(|beta| T::from_f64(1.0 - beta));
    let eps = T::from_f64(by.eps);
    let adamw_step = |p: &mut [T], m: &mut [T], v: &mut [T]| {
        with_values(gradient, |g| Adapt { p, m, v, g, keep, betas, new, rate, root, eps }.compute())
    };
    with_values_mut(parameter, |p| with_values_mut(m, |m| with_values_mut(v, |v| adamw_step(p, m, v))))???
}

/// The same in candle's operations.
fn plain(parameter: &Tensor, gradient: &Tensor, [m, v]: [&Tensor; 2], by: AdamWStep) -> Result<()> {
    let set = |to: &Tensor, value: &Tensor| to.slice_set(&value.contiguous()?, 0, 0);
    let [keep, rate, root] = by.factors();
    let [beta1, beta2] = by.betas;
    let first = (m.affine(beta1, 0.0)? + gradient.affine(1.0 - beta1, 0.0)?)?;
    let second = (v.affine(beta2, 0.0)? + gradient.sqr()?.affine(1.0 - beta2, 0.0)?)?;
    let along = first.affine(rate, 0.0)?.div(&second.sqrt()?.affine(root, by.eps)?)?;
    set(m, &first)?;
    set(v, &second)?;
    set(parameter, &(parameter.affine(keep, 0.0)? - along)?)
}
