//! The affine map of channels as an operation of candle's graph. The caller, who knows where the coefficients come from,
//! supplies the gradient.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, MetalStorage, Result, Shape, Tensor};

use super::{ChannelMap, channel_map, cpu, own_kernel};

/// Given x, g = dL/dy and whether dx is wanted: dx, and the gradients of the parameters.
type Backward = Box<dyn Fn(&Tensor, &Tensor, bool) -> Result<(Option<Tensor>, Vec<Tensor>)> + Send + Sync>;

/// slope (x - mean) + shift, differentiable in `x` and in the `parameters` that the coefficients were computed from.
pub fn differentiable_linear_map(
    x: &Tensor,
    parameters: &[Tensor],
    by: ChannelMap,
    backward: impl Fn(&Tensor, &Tensor, bool) -> Result<(Option<Tensor>, Vec<Tensor>)> + Send + Sync + 'static,
) -> Result<Tensor> {
    if !x.track_op() && !parameters.iter().any(Tensor::track_op) {
        return channel_map(x, &by);
    }
    // candle's operations take at most three operands, so the parameters are packed into one.
    let packed = match parameters {
        [] => Tensor::zeros(1, x.dtype(), x.device())?,
        _ => Tensor::cat(&parameters.iter().map(Tensor::flatten_all).collect::<Result<Vec<_>>>()?, 0)?,
    };
    let x = x.contiguous()?;
    if own_kernel(&x) {
        let op = LinearMap { by, backward: Box::new(backward) };
        return x.apply_op2(&packed, op);
    }
    let y = channel_map(&x, &by)?.contiguous()?;
    x.apply_op3(&packed, &y, LinearMap { by, backward: Box::new(backward) })
}

struct LinearMap {
    by: ChannelMap,
    backward: Backward,
}

impl LinearMap {
    fn gradients(&self, x: &Tensor, packed: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, parameters) = (self.backward)(&x.detach(), &g.detach().contiguous()?, x.track_op())?;
        let flat = parameters.iter().map(Tensor::flatten_all).collect::<Result<Vec<_>>>()?;
        let parameters = packed.track_op().then(|| Tensor::cat(&flat, 0)).transpose()?;
        Ok((dx, parameters))
    }
}

/// On the CPU: the map itself.
impl CustomOp2 for LinearMap {
    fn name(&self) -> &'static str {
        "channel_map"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        cpu::channel_map_storage(x, layout, &self.by)
    }

    fn bwd(&self, x: &Tensor, packed: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(x, packed, g)
    }
}

/// On other devices: the map, already computed with candle's operations, is the third operand.
impl CustomOp3 for LinearMap {
    fn name(&self) -> &'static str {
        "channel_map"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        y: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        y: &CudaStorage,
        layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
        y: &MetalStorage,
        layout: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        packed: &Tensor,
        _: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, parameters) = self.gradients(x, packed, g)?;
        Ok((dx, parameters, None))
    }
}
