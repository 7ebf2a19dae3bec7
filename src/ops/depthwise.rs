//! Depth-wise convolution, one kernel per channel. On the CPU with kernels of our own, since candle's grouped convolution and
//! its gradient are slow there.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::{check, cpu, own_kernel, plain};

/// Cross-correlation of each channel of (N,C,H,W) with its own kernel of (C,k,k), k odd, zero-padded to keep the shape, plus a
/// bias (C). (N,C) are maps of one pixel.
pub fn depthwise(x: &Tensor, kernel: &Tensor, bias: &Tensor) -> Result<Tensor> {
    check::depthwise(x, kernel, bias)?;
    let y = match own_kernel(x) {
        true => x.contiguous()?.apply_op2(&kernel.contiguous()?, Depthwise { turned: false })?,
        false => plain::depthwise(x, kernel)?,
    };
    y.broadcast_add(&plain::spread(x, bias)?)
}

struct Depthwise {
    /// Whether kernels are rotated by 180 degrees, which gives the input gradient.
    turned: bool,
}

impl CustomOp2 for Depthwise {
    fn name(&self) -> &'static str {
        "depthwise"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        cpu::depthwise_storage((x, x_layout), (kernel, kernel_layout), self.turned)
    }

    fn bwd(&self, x: &Tensor, kernel: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let g = g.detach().contiguous()?;
        let dx = || g.apply_op2(&kernel.detach(), Self { turned: true });
        let dk = || cpu::depthwise_kernel_gradient(&x.detach(), &g, kernel);
        Ok((x.track_op().then(dx).transpose()?, kernel.track_op().then(dk).transpose()?))
    }
}
