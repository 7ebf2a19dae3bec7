//! Differentiable operations candle lacks, does slowly or gets wrong.
//!
//! Each is a free function on tensors with one meaning on every device. On the CPU, f32 and f64 run kernels of our own
//! (`cpu`); everything else runs the [`plain`] form, the same function written in differentiable candle operations.
//! Faster kernels belong behind this seam, where no network notices.
//!
//! All of them accept non-contiguous tensors, refuse empty ones (a dimension of 0) and wrong shapes with an error that
//! names the operation and the shapes, and give the same bits for any number of threads.

mod check;
mod cpu;
mod descent;
pub mod plain;

pub use descent::{descend, Descent};

use crate::norm::Moments;
use candle_core::{DType, Result, Tensor};

/// What [`normalize`] divides and subtracts by, and how much of it the gradient sees; constants, shape (C) each.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// Mean that is subtracted.
    pub mean: Tensor,
    /// Variance divided by, without `eps`.
    pub var: Tensor,
    /// Added to the variance under the root.
    pub eps: f64,
    /// Mean around which the variance moves with the batch: `mean` for BN and for pooling by total variance, the
    /// batch's own mean where variances are merely averaged.
    pub center: Tensor,
    /// c, the factor on the projection terms of the gradient: 1 is BN's, 0 treats the statistics as constants.
    pub factor: f64,
}

/// Cross-correlation, (N,Cin,H,W) with (Cout,Cin,kh,kw) to (N,Cout,oh,ow), oh = (H + 2·padding - kh) / stride + 1.
pub fn conv2d(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    if own_kernel(x) {
        cpu::conv2d(x, weight, stride, padding)
    } else {
        plain::conv2d(x, weight, stride, padding)
    }
}

/// x Wᵀ + b: (N,I) with weight (O,I) and bias (O) to (N,O).
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if own_kernel(x) {
        cpu::linear(x, weight, bias)
    } else {
        plain::linear(x, weight, bias)
    }
}

/// max(x, 0) of any shape; the derivative at 0 is 0, as in PyTorch, and NaN stays NaN.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if own_kernel(x) {
        cpu::relu(x)
    } else {
        plain::relu(x)
    }
}

/// Maximum over size x size windows, side by side; an incomplete window at the lower or right edge is left out.
///
/// The gradient goes to the first maximum of a window in reading order; a window with a NaN gives NaN.
pub fn max_pool2d(x: &Tensor, size: usize) -> Result<Tensor> {
    if own_kernel(x) {
        cpu::max_pool2d(x, size)
    } else {
        plain::max_pool2d(x, size)
    }
}

/// Mean over height and width: (N,C,H,W) to (N,C).
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    if own_kernel(x) {
        cpu::global_avg_pool(x)
    } else {
        plain::global_avg_pool(x)
    }
}

/// The shortcut without parameters, option A of He et al. (CVPR 2016): every `stride`-th row and column, and
/// `out_channels - C` channels of zeros, half of them (rounded down) before and the rest after.
pub fn shortcut(x: &Tensor, stride: usize, out_channels: usize) -> Result<Tensor> {
    if own_kernel(x) {
        cpu::shortcut(x, stride, out_channels)
    } else {
        plain::shortcut(x, stride, out_channels)
    }
}

/// Mean and biased variance of each channel of (N,C,H,W) or (N,C), shape (C), detached from the graph.
///
/// Two passes, so that a large mean costs the variance nothing; summed in f64 on the CPU.
pub fn moments(x: &Tensor) -> Result<Moments> {
    if own_kernel(x) {
        cpu::moments(x)
    } else {
        plain::moments(x)
    }
}

/// gamma (x - mean) / s + beta with s = sqrt(var + eps), for x (N,C,H,W) or (N,C) and gamma, beta (C).
///
/// One forward and one backward for every normalizer whose statistics are, in part, the batch's own. With g = dL/dy,
/// x̂ = (x - mean)/s and means over the batch, the gradients are by definition
///
/// ```text
/// dx = gamma/s [ g - c mean(g) - c ((x - center)/s) mean(g x̂) ]     dgamma = sum(g x̂)     dbeta = sum(g)
/// ```
pub fn normalize(x: &Tensor, gamma: &Tensor, beta: &Tensor, stats: &Statistics) -> Result<Tensor> {
    if own_kernel(x) {
        cpu::normalize(x, gamma, beta, stats)
    } else {
        plain::normalize(x, gamma, beta, stats)
    }
}

/// Mean cross-entropy in nats, a scalar, of logits (N,K) against classes (N), u32; NaN and infinity propagate.
///
/// With smoothing s the target distribution is (1 - s) on the class plus s/K on every class (Szegedy et al., 2016).
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    if own_kernel(logits) {
        cpu::cross_entropy(logits, targets, label_smoothing)
    } else {
        plain::cross_entropy(logits, targets, label_smoothing)
    }
}

/// Whether our own kernels cover this tensor's device and type.
fn own_kernel(x: &Tensor) -> bool {
    x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64)
}
