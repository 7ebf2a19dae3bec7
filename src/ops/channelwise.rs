//! What every normalizer does to whole tensors: moments, the map y = slope (x - mean) + shift, and the two passes of its
//! gradient. No operation here is differentiable; [`crate::norm`] builds layers from them.

use candle_core::{Result, Tensor};

use super::{Granularity, Moments, check, cpu, own_kernel, plain, sum_images};

/// y = slope (x - mean) + shift, each of shape (C), or (N,C) where every image has its own.
#[derive(Debug, Clone)]
pub struct ChannelMap {
    /// What is subtracted.
    pub mean: Tensor,
    /// What multiplies.
    pub slope: Tensor,
    /// What is added.
    pub shift: Tensor,
}

/// dx = a g + b (x - center) + d, shapes as in [`ChannelMap`].
#[derive(Debug, Clone)]
pub struct ChannelMapGradient {
    /// The coefficient of g: the slope of the forward pass.
    pub a: Tensor,
    /// The coefficient of x - center.
    pub b: Tensor,
    /// What is subtracted from the input.
    pub center: Tensor,
    /// A constant.
    pub d: Tensor,
}

/// Σ g and Σ g (x - mean), (C) or (N,C).
#[derive(Debug, Clone)]
pub struct Sums {
    /// Σ g.
    pub g: Tensor,
    /// Σ g (x - mean), with the mean of the forward pass.
    pub gx: Tensor,
}

impl Sums {
    /// The sums of all images together, (C).
    pub fn over_images(&self) -> Result<Self> {
        match self.g.rank() {
            1 => Ok(self.clone()),
            _ => Ok(Self { g: sum_images(&self.g)?, gx: sum_images(&self.gx)? }),
        }
    }
}

/// Mean and biased variance of (N,C,H,W) or (N,C), detached from the graph.
///
/// Computed in two passes, so that a large mean costs the variance no precision; summed in f64 on the CPU.
pub fn moments(x: &Tensor, per: Granularity) -> Result<Moments> {
    let x = x.detach();
    let sizes = check::Channels::of("moments", x.dims())?;
    match own_kernel(&x) {
        true => cpu::moments(&x, sizes, per),
        false => plain::moments(&x, per),
    }
}

/// slope (x - mean) + shift of (N,C,H,W) or (N,C).
pub fn channel_map(x: &Tensor, by: &ChannelMap) -> Result<Tensor> {
    let x = x.detach();
    let sizes = check::coefficients("normalize", &x, &[&by.mean, &by.slope, &by.shift])?;
    match own_kernel(&x) {
        true => cpu::channel_map(&x, sizes, by),
        false => plain::channel_map(&x, by),
    }
}

/// The first pass of the gradient, given g = dL/dy: Σ g and Σ g (x - mean).
pub fn gradient_sums(x: &Tensor, g: &Tensor, mean: &Tensor, per: Granularity) -> Result<Sums> {
    let sizes = check::coefficients("normalize", x, &[mean])?;
    match own_kernel(x) {
        true => cpu::gradient_sums(x, g, sizes, mean, per),
        false => plain::gradient_sums(x, g, mean, per),
    }
}

/// The second pass of the gradient: dx = a g + b (x - center) + d.
pub fn channel_map_gradient(x: &Tensor, g: &Tensor, by: &ChannelMapGradient) -> Result<Tensor> {
    let sizes = check::coefficients("normalize", x, &[&by.a, &by.b, &by.center, &by.d])?;
    match own_kernel(x) {
        true => cpu::channel_map_gradient(x, g, sizes, by),
        false => plain::channel_map_gradient(x, g, by),
    }
}
