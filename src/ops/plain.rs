//! The operations in terms of candle's own, differentiable on every device: what runs where there is no kernel of ours,
//! and what the kernels are tested against. Signatures and meaning are those of the parent module.

use super::{check, Statistics};
use crate::norm::Moments;
use candle_core::{Result, Tensor, D};

/// See [`super::conv2d`].
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

/// See [`super::linear`].
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check::linear(x, weight, bias)?;
    let y = x.matmul(&weight.t()?)?;
    bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))
}

/// See [`super::relu`].
pub fn relu(x: &Tensor) -> Result<Tensor> {
    // `x <= 0` rather than `x > 0`, so that NaN is kept.
    x.le(0.0)?.where_cond(&x.zeros_like()?, x)
}

/// See [`super::max_pool2d`].
pub fn max_pool2d(x: &Tensor, size: usize) -> Result<Tensor> {
    let [n, c, oh, ow] = check::pooled(x, size)?;
    let covered = x.narrow(2, 0, oh * size)?.narrow(3, 0, ow * size)?;
    let windows = covered.contiguous()?.reshape(vec![n, c, oh, size, ow, size])?;
    let at = |i: usize| windows.narrow(3, i / size, 1)?.narrow(5, i % size, 1)?.reshape((n, c, oh, ow));
    (1..size * size).try_fold(at(0)?, |best, i| {
        let next = at(i)?;
        // NaN is greater than nothing and has to be asked for.
        let take = (next.gt(&best)? + next.ne(&next)?)?;
        take.where_cond(&next, &best)
    })
}

/// See [`super::global_avg_pool`].
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    check::dims::<4>("global_avg_pool", "input", x)?;
    x.flatten_from(2)?.mean(D::Minus1)
}

/// See [`super::shortcut`].
pub fn shortcut(x: &Tensor, stride: usize, out_channels: usize) -> Result<Tensor> {
    let [n, _, oh, ow] = check::shortcut(x, stride, out_channels)?;
    let [_, c, h, w] = check::dims("shortcut", "input", x)?;
    // A stride beyond the size keeps the first row (column) alone, as does the size itself.
    let (down, across) = (stride.min(h), stride.min(w));
    let rows = x.pad_with_zeros(2, 0, oh * down - h)?.reshape((n, c, oh, down, w))?.narrow(3, 0, 1)?;
    let rows = rows.reshape((n, c, oh, w))?.pad_with_zeros(3, 0, ow * across - w)?;
    let kept = rows.reshape((n, c, oh, ow, across))?.narrow(4, 0, 1)?.reshape((n, c, oh, ow))?;
    let before = (out_channels - c) / 2;
    kept.pad_with_zeros(1, before, out_channels - c - before)
}

/// See [`super::moments`].
pub fn moments(x: &Tensor) -> Result<Moments> {
    let x = Channels::new("moments", &x.detach())?;
    let mean = x.mean(&x.tensor)?;
    let var = x.mean(&x.tensor.broadcast_sub(&mean)?.sqr()?)?;
    Ok(Moments { mean: mean.flatten_all()?, var: var.flatten_all()? })
}

/// See [`super::normalize`].
///
/// The statistics enter as mean + c (m - sg(m)) and var + c (v - sg(v)), where m is the batch's mean, v its mean square
/// around `center` and sg stops the gradient: the value is the constant's, the derivative c times the batch's.
pub fn normalize(x: &Tensor, gamma: &Tensor, beta: &Tensor, stats: &Statistics) -> Result<Tensor> {
    let x = Channels::new("normalize", x)?;
    let [gamma, beta, mean, var, center] = x.parameters(gamma, beta, stats)?;
    let (mut mean, mut var) = (mean, var);
    if stats.factor != 0.0 {
        let m = x.mean(&x.tensor)?;
        let v = x.mean(&x.tensor.broadcast_sub(&center)?.sqr()?)?;
        mean = (mean + ((&m - m.detach())? * stats.factor)?)?;
        var = (var + ((&v - v.detach())? * stats.factor)?)?;
    }
    let root = (var + stats.eps)?.sqrt()?;
    x.tensor.broadcast_sub(&mean)?.broadcast_mul(&gamma.div(&root)?)?.broadcast_add(&beta)
}

/// See [`super::cross_entropy`].
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    check::cross_entropy(logits, targets, label_smoothing)?;
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(1)?)?;
    let total = shifted.exp()?.sum(1)?.log()?;
    let chosen = shifted.gather(&targets.unsqueeze(1)?.contiguous()?, 1)?.squeeze(1)?;
    let expected = if label_smoothing == 0.0 {
        chosen
    } else {
        ((chosen * (1.0 - label_smoothing))? + (shifted.mean(1)? * label_smoothing)?)?
    };
    (total - expected)?.mean_all()
}

/// A tensor seen as channels: what the mean of each runs over, and the shape that broadcasts against it.
struct Channels {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl Channels {
    fn new(op: &'static str, x: &Tensor) -> Result<Self> {
        let c = check::channels(op, x)?.channels;
        let shape = (0..x.rank()).map(|dim| if dim == 1 { c } else { 1 }).collect();
        Ok(Self { tensor: x.clone(), shape })
    }

    /// Mean of each channel, in a shape that broadcasts.
    fn mean(&self, values: &Tensor) -> Result<Tensor> {
        let dims: Vec<usize> = (0..self.shape.len()).filter(|&dim| dim != 1).collect();
        values.mean_keepdim(dims)
    }

    /// gamma, beta, mean, var and center in a shape that broadcasts.
    fn parameters(&self, gamma: &Tensor, beta: &Tensor, stats: &Statistics) -> Result<[Tensor; 5]> {
        check::normalize(&self.tensor, gamma, beta, stats)?;
        let constant = |t: &Tensor| t.detach().to_dtype(self.tensor.dtype())?.reshape(self.shape.clone());
        Ok([
            gamma.reshape(self.shape.clone())?,
            beta.reshape(self.shape.clone())?,
            constant(&stats.mean)?,
            constant(&stats.var)?,
            constant(&stats.center)?,
        ])
    }
}
