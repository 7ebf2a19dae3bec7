//! Network operations in terms of candle's own, differentiable on every device: what the fused passes are tested against, and
//! what runs where there are none.

use super::{check, plain::spread};
use candle_core::{D, Result, Tensor};

/// Cross-correlation, (N,Cin,H,W) with (Cout,Cin,kh,kw) to (N,Cout,oh,ow), oh = (H + 2·padding - kh) / stride + 1.
pub fn conv2d(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let conv = check::Conv::new(x, weight, stride, padding)?;
    let covered_h = (conv.oh - 1) * stride + conv.kh;
    let covered_w = (conv.ow - 1) * stride + conv.kw;
    // candle derives the padding of its transposed convolution from the height alone, and underflows where the
    // windows cover less than the padding: such inputs are padded and cut to what the windows cover beforehand.
    let left_h = conv.h + 2 * padding - covered_h;
    let left_w = conv.w + 2 * padding - covered_w;
    if left_h == left_w && left_h <= conv.h && left_w <= conv.w {
        return x.conv2d(weight, padding, stride, 1, 1);
    }
    let padded = x.pad_with_zeros(2, padding, padding)?.pad_with_zeros(3, padding, padding)?;
    padded.narrow(2, 0, covered_h)?.narrow(3, 0, covered_w)?.contiguous()?.conv2d(weight, 0, stride, 1, 1)
}

/// x Wᵀ + b: (N,I) with weight (O,I) and bias (O) to (N,O).
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check::linear(x, weight, bias)?;
    let y = x.matmul(&weight.t()?)?;
    bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))
}

/// max(x, 0) of any shape; the derivative at 0 is 0, as in PyTorch, and NaN stays NaN.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    // `x <= 0` rather than `x > 0`, so that NaN is kept.
    x.le(0.0)?.where_cond(&x.zeros_like()?, x)
}

/// max(x, threshold) of (N,C,H,W) or (N,C), a threshold per channel (C), 0 without one; where x equals the threshold, the
/// gradient goes to the threshold.
pub fn rectify(x: &Tensor, threshold: Option<&Tensor>) -> Result<Tensor> {
    let Some(threshold) = threshold else { return relu(x) };
    check::per_channel("rectify", "threshold", x, x.dim(1)?, threshold)?;
    let threshold = spread(x, threshold)?;
    relu(&x.broadcast_sub(&threshold)?)?.broadcast_add(&threshold)
}

/// scale x + shift of (N,C,H,W) or (N,C), each of shape (C).
pub fn scale_and_shift(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    for (what, vector) in [("scale", scale), ("shift", shift)] {
        check::per_channel("scale_and_shift", what, x, x.dim(1)?, vector)?;
    }
    x.broadcast_mul(&spread(x, scale)?)?.broadcast_add(&spread(x, shift)?)
}

/// Maximum over non-overlapping size x size windows; an incomplete window at the lower or right edge is left out.
///
/// The gradient goes to the first maximum of a window in reading order; a window with a NaN gives NaN.
pub fn max_pool2d(x: &Tensor, size: usize) -> Result<Tensor> {
    let [n, c, oh, ow] = check::pooled(x, size)?;
    let covered = x.narrow(2, 0, oh * size)?.narrow(3, 0, ow * size)?;
    let windows = covered.contiguous()?.reshape(vec![n, c, oh, size, ow, size])?;
    let at = |i: usize| windows.narrow(3, i / size, 1)?.narrow(5, i % size, 1)?.reshape((n, c, oh, ow));
    (1..size * size).try_fold(at(0)?, |best, i| {
        let next = at(i)?;
        // NaN compares greater than nothing, so it needs a test of its own.
        let take = (next.gt(&best)? + next.ne(&next)?)?;
        take.where_cond(&next, &best)
    })
}

/// Mean over height and width: (N,C,H,W) to (N,C).
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    check::dims::<4>("global_avg_pool", "input", x)?;
    x.flatten_from(2)?.mean(D::Minus1)
}

/// The shortcut without parameters, option A of He et al. (CVPR 2016): every `stride`-th row and column, and
/// `out_channels - C` channels of zeros, half of them (rounded down) before and the rest after.
pub fn shortcut(x: &Tensor, stride: usize, out_channels: usize) -> Result<Tensor> {
    let [n, _, oh, ow] = check::shortcut(x, stride, out_channels)?;
    let [_, c, h, w] = check::dims("shortcut", "input", x)?;
    // A stride above the size keeps only the first row (column), as a stride equal to the size does.
    let (down, across) = (stride.min(h), stride.min(w));
    let rows = x.pad_with_zeros(2, 0, oh * down - h)?.reshape((n, c, oh, down, w))?.narrow(3, 0, 1)?;
    let rows = rows.reshape((n, c, oh, w))?.pad_with_zeros(3, 0, ow * across - w)?;
    let kept = rows.reshape((n, c, oh, ow, across))?.narrow(4, 0, 1)?.reshape((n, c, oh, ow))?;
    let before = (out_channels - c) / 2;
    kept.pad_with_zeros(1, before, out_channels - c - before)
}
