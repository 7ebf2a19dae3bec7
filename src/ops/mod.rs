//! Operations that candle lacks, does slowly or gets wrong, each with the same meaning on every device.
//!
//! Network operations ([`conv2d`], [`relu`], ...) are written in candle's operations: on the CPU, training and evaluation
//! use [`crate::model::fused`] instead. Normalization and [`cross_entropy`] have kernels for f32 and f64 on the CPU
//! and a [`plain`] form for everything else.
//!
//! All of them accept non-contiguous tensors, refuse empty ones (a dimension of 0) and wrong shapes with an error that
//! names the operation and the shapes, and give bit-identical results for any number of threads.

mod adaptation;
mod channelwise;
mod check;
mod cpu;
mod custom;
mod depthwise;
mod descent;
mod groups;
mod host;
mod maps;
mod moments;
pub mod plain;
mod rows;

pub use adaptation::{AdamWStep, adamw_step};
pub use channelwise::{
    ChannelMap, ChannelMapGradient, Sums, channel_map, channel_map_gradient, gradient_sums, moments,
};
pub use custom::differentiable_linear_map;
pub use depthwise::depthwise;
pub use descent::{SgdStep, sgd_step};
pub use groups::{Groups, group_moments, group_projection};
pub use host::{from_host, sum_images, to_host};
pub use maps::{conv2d, global_avg_pool, linear, max_pool2d, rectify, relu, scale_and_shift, shortcut};
pub use moments::{Granularity, Moments};
pub use rows::{blend_moments, count_up, filled_rows, pooled_moments, push_row, weighted_rows};

use candle_core::{DType, Result, Tensor};

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
