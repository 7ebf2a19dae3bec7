//! The update of stochastic gradient descent, in place on the CPU.

use std::marker::PhantomData;

use candle_core::{bail, CpuStorage, DType, InplaceOp3, Layout, Result, Tensor};

use super::own_kernel;
use crate::kernel::update::{Accumulate, Descend};
use crate::kernel::Float;

/// How a parameter follows its gradient: d = g + w p; b = m b + d; p -= lr b, or lr (d + m b) for Nesterov, lr d
/// without momentum.
#[derive(Debug, Clone, Copy)]
pub struct Descent {
    /// lr.
    pub rate: f64,
    /// m.
    pub momentum: f64,
    /// w.
    pub decay: f64,
    /// Whether the step looks ahead.
    pub nesterov: bool,
}

/// Updates a parameter and its momentum buffer (zeros at first), tensors of one shape and type.
pub fn descend(parameter: &Tensor, gradient: &Tensor, buffer: &Tensor, by: Descent) -> Result<()> {
    if parameter.dims() != gradient.dims() || parameter.dims() != buffer.dims() {
        bail!("descend: {:?}, its gradient {:?}, buffer {:?}", parameter.dims(), gradient.dims(), buffer.dims());
    }
    let gradient = gradient.contiguous()?;
    match parameter.dtype() {
        DType::F32 if own_kernel(parameter) => in_place::<f32>(parameter, &gradient, buffer, by),
        DType::F64 if own_kernel(parameter) => in_place::<f64>(parameter, &gradient, buffer, by),
        _ => plain(parameter, &gradient, buffer, by),
    }
}

fn in_place<T: Float>(parameter: &Tensor, gradient: &Tensor, buffer: &Tensor, by: Descent) -> Result<()> {
    if by.momentum != 0.0 {
        buffer.inplace_op3(gradient, parameter, &Momentum::<T>(by, PhantomData))?;
    }
    parameter.inplace_op3(gradient, buffer, &Step::<T>(by, PhantomData))
}

/// The same in candle's operations.
fn plain(parameter: &Tensor, gradient: &Tensor, buffer: &Tensor, by: Descent) -> Result<()> {
    let set = |to: &Tensor, value: Tensor| to.slice_set(&value.contiguous()?, 0, 0);
    let decayed = (gradient + parameter.affine(by.decay, 0.0)?)?;
    let mut direction = decayed.clone();
    if by.momentum != 0.0 {
        let accumulated = (buffer.affine(by.momentum, 0.0)? + &decayed)?;
        direction = if by.nesterov { (decayed + accumulated.affine(by.momentum, 0.0)?)? } else { accumulated.clone() };
        set(buffer, accumulated)?;
    }
    set(parameter, (parameter - direction.affine(by.rate, 0.0)?)?)
}

struct Momentum<T>(Descent, PhantomData<T>);
struct Step<T>(Descent, PhantomData<T>);

/// The values of an operand, all of them.
fn values<'a, T: Float>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => bail!("descend: expected a contiguous tensor"),
    }
}

/// The values to change. candle hands the storage over as an enum whose variants hold the vectors.
fn values_mut<'a, T: Float>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&mut T::storage_mut(storage)?[start..end]),
        None => bail!("descend: expected a contiguous tensor"),
    }
}

impl<T: Float> InplaceOp3 for Momentum<T> {
    fn name(&self) -> &'static str {
        "momentum"
    }

    fn cpu_fwd(
        &self,
        b: &mut CpuStorage,
        b_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
        p: &CpuStorage,
        p_layout: &Layout,
    ) -> Result<()> {
        let [momentum, decay] = [self.0.momentum, self.0.decay].map(T::from_f64);
        T::dispatch(Accumulate { b: values_mut(b, b_layout)?, g: values(g, g_layout)?, p: values(p, p_layout)?, momentum, decay });
        Ok(())
    }
}

impl<T: Float> InplaceOp3 for Step<T> {
    fn name(&self) -> &'static str {
        "step"
    }

    fn cpu_fwd(
        &self,
        p: &mut CpuStorage,
        p_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<()> {
        let Descent { rate, momentum, decay, nesterov } = self.0;
        let mix = match (momentum != 0.0, nesterov) {
            (true, false) => [0.0, 1.0, 0.0],
            (true, true) => [1.0, momentum, decay],
            (false, _) => [1.0, 0.0, decay],
        };
        let mix = mix.map(T::from_f64);
        let (p, g, b) = (values_mut(p, p_layout)?, values(g, g_layout)?, values(b, b_layout)?);
        T::dispatch(Descend { p, g, b, rate: T::from_f64(rate), mix });
        Ok(())
    }
}
