//! Fully connected layer.

use super::gemm::{gemm, Matrix};
use super::{for_each_piece, like, output, read, read2, values, with_real, Real};
use crate::ops::check;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::marker::PhantomData;

/// Rows of a result that are computed together.
const ROWS: usize = 64;

pub(in crate::ops) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (rows, inputs, outputs) = check::linear(x, weight, bias)?;
    let bias = match bias {
        Some(bias) => bias.contiguous()?,
        None => Tensor::zeros(outputs, x.dtype(), x.device())?,
    };
    with_real!(x, T => {
        let op = Linear::<T> { rows, inputs, outputs, real: PhantomData };
        x.contiguous()?.apply_op3(&weight.contiguous()?, &bias, op)
    })
}

struct Linear<T> {
    rows: usize,
    inputs: usize,
    outputs: usize,
    real: PhantomData<T>,
}

impl<T: Real> Linear<T> {
    fn x<'a>(&self, x: &'a [T]) -> Matrix<'a, T> {
        Matrix::new(x, self.rows, self.inputs, self.inputs)
    }

    fn weight<'a>(&self, weight: &'a [T]) -> Matrix<'a, T> {
        Matrix::new(weight, self.outputs, self.inputs, self.inputs)
    }

    /// The output, or its gradient.
    fn y<'a>(&self, y: &'a [T]) -> Matrix<'a, T> {
        Matrix::new(y, self.rows, self.outputs, self.outputs)
    }
}

impl<T: Real> CustomOp3 for Linear<T> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (values::<T>(x, x_layout)?, values(weight, weight_layout)?);
        let bias = values::<T>(bias, bias_layout)?;
        let start: Vec<T> = (0..self.rows).flat_map(|_| bias.iter().copied()).collect();
        output(add_product(start, self.x(x), self.weight(weight).t()), (self.rows, self.outputs))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let g = g.contiguous()?;
        let dx = |g: &[T], weight: &[T]| {
            add_product(vec![T::zero(); self.rows * self.inputs], self.y(g), self.weight(weight))
        };
        let dweight =
            |g: &[T], x: &[T]| add_product(vec![T::zero(); self.outputs * self.inputs], self.y(g).t(), self.x(x));
        let dbias = |g: &[T]| -> Vec<T> {
            (0..self.outputs).map(|o| g.iter().skip(o).step_by(self.outputs).fold(T::zero(), |s, &g| s + g)).collect()
        };
        Ok((
            x.track_op().then(|| like(x, read2(&g, weight, dx)?)).transpose()?,
            weight.track_op().then(|| like(weight, read2(&g, x, dweight)?)).transpose()?,
            bias.track_op().then(|| like(bias, read(&g, dbias)?)).transpose()?,
        ))
    }
}

/// `start + lhs rhs`, some rows at a time.
fn add_product<T: Real>(start: Vec<T>, lhs: Matrix<T>, rhs: Matrix<T>) -> Vec<T> {
    let mut out = start;
    let columns = rhs.columns;
    for_each_piece(
        &mut out,
        ROWS * columns,
        || (),
        |(), piece, out| {
            let values = &lhs.values[piece * ROWS * lhs.row_stride..];
            gemm(out, columns, true, Matrix { values, rows: out.len() / columns, ..lhs }, rhs);
        },
    );
    out
}
