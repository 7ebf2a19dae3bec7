//! Rectifier.

use super::{for_each_piece, like, output, read2, values, with_real, Real, GRAIN};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use std::marker::PhantomData;

pub(in crate::ops) fn relu(x: &Tensor) -> Result<Tensor> {
    with_real!(x, T => x.contiguous()?.apply_op1(Relu::<T>(PhantomData)))
}

struct Relu<T>(PhantomData<T>);

impl<T: Real> CustomOp1 for Relu<T> {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values::<T>(storage, layout)?;
        output(gate(x, x), layout.shape())
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let g = g.contiguous()?;
        Ok(Some(like(x, read2::<T, _>(x, &g, gate)?)?))
    }
}

/// `through` where `x` is positive or NaN, else 0: the value with x itself, the gradient with dL/dy.
fn gate<T: Real>(x: &[T], through: &[T]) -> Vec<T> {
    let mut out = vec![T::zero(); x.len()];
    for_each_piece(
        &mut out,
        GRAIN,
        || (),
        |(), piece, out| {
            let start = piece * GRAIN;
            for ((out, &x), &value) in out.iter_mut().zip(&x[start..]).zip(&through[start..]) {
                *out = if x <= T::zero() { T::zero() } else { value };
            }
        },
    );
    out
}
