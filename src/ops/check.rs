//! What the operations require of their arguments, checked once for every device.

use candle_core::{DType, Result, Tensor, bail};

/// The largest number of elements of a buffer, so that sizes in bytes never overflow.
const LIMIT: usize = isize::MAX as usize / 8;

/// The sizes of a tensor of rank `R` with at least one element.
pub(super) fn dims<const R: usize>(op: &str, what: &str, x: &Tensor) -> Result<[usize; R]> {
    match <[usize; R]>::try_from(x.dims()) {
        Ok(dims) if !dims.contains(&0) => Ok(dims),
        Ok(_) => bail!("{op}: the {what} {:?} is empty", x.dims()),
        Err(_) => bail!("{op}: the {what} has shape {:?}, expected {R} dimensions", x.dims()),
    }
}

/// Where the values of a channel of (N,C,H,W) or (N,C) lie: a plane of values in each image of the batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channels {
    pub batch: usize,
    pub channels: usize,
    /// H·W, or 1.
    pub plane: usize,
}

impl Channels {
    pub fn of(op: &str, dims: &[usize]) -> Result<Self> {
        let (batch, channels, plane) = match *dims {
            [n, c] => (n, c, 1),
            [n, c, h, w] => (n, c, h * w),
            _ => bail!("{op}: the input has shape {dims:?}, expected (N,C,H,W) or (N,C)"),
        };
        if dims.contains(&0) {
            bail!("{op}: the input {dims:?} is empty");
        }
        Ok(Self { batch, channels, plane })
    }
}

/// Requires shape (C) of a vector for the C channels (or outputs) of `x`.
pub(super) fn per_channel(op: &str, what: &str, x: &Tensor, count: usize, vector: &Tensor) -> Result<()> {
    if vector.dims() != [count] {
        bail!("{op}: the {what} has shape {:?}, expected [{count}] for {:?}", vector.dims(), x.dims());
    }
    Ok(())
}

/// Requires two operands to have the same number type.
pub(super) fn same_dtype(op: &str, x: &Tensor, other: &Tensor) -> Result<()> {
    if x.dtype() != other.dtype() {
        bail!("{op}: {:?} {:?} and {:?} {:?} differ in type", x.dtype(), x.dims(), other.dtype(), other.dims());
    }
    Ok(())
}

/// The channels of an input whose coefficients are of shape (C) or (N,C).
pub(super) fn coefficients(op: &str, x: &Tensor, coefficients: &[&Tensor]) -> Result<Channels> {
    let sizes = Channels::of(op, x.dims())?;
    for coefficient in coefficients {
        if coefficient.dims() != [sizes.channels] && coefficient.dims() != [sizes.batch, sizes.channels] {
            let (n, c) = (sizes.batch, sizes.channels);
            bail!(
                "{op}: a coefficient has shape {:?}, expected [{c}] or [{n}, {c}] for {:?}",
                coefficient.dims(),
                x.dims()
            );
        }
        same_dtype(op, x, coefficient)?;
    }
    Ok(sizes)
}

/// The sizes (N, I, O) of a linear map, its operands checked.
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<(usize, usize, usize)> {
    let [rows, inputs] = dims("linear", "input", x)?;
    let [outputs, expected] = dims("linear", "weight", weight)?;
    if inputs != expected {
        bail!("linear: input {:?} and weight {:?} differ in their last dimension", x.dims(), weight.dims());
    }
    if product(&[rows, outputs]).is_none() {
        bail!("linear: the output of {:?} and {:?} is too large", x.dims(), weight.dims());
    }
    same_dtype("linear", x, weight)?;
    if let Some(bias) = bias {
        per_channel("linear", "bias", weight, outputs, bias)?;
        same_dtype("linear", x, bias)?;
    }
    Ok((rows, inputs, outputs))
}

/// The output shape of pooling; height and width are at least 1.
pub(super) fn pooled(x: &Tensor, size: usize) -> Result<[usize; 4]> {
    let [n, c, h, w] = dims("max_pool2d", "input", x)?;
    match (h.checked_div(size), w.checked_div(size)) {
        (Some(oh @ 1..), Some(ow @ 1..)) => Ok([n, c, oh, ow]),
        _ => bail!("max_pool2d: a window of {size} x {size} does not fit the input {:?}", x.dims()),
    }
}

/// The output shape of a shortcut.
pub(super) fn shortcut(x: &Tensor, stride: usize, out_channels: usize) -> Result<[usize; 4]> {
    let [n, c, h, w] = dims("shortcut", "input", x)?;
    if stride == 0 || out_channels < c {
        bail!("shortcut: input {:?} does not go to {out_channels} channels at stride {stride}", x.dims());
    }
    let shape = [n, out_channels, h.div_ceil(stride), w.div_ceil(stride)];
    match product(&shape) {
        Some(_) => Ok(shape),
        None => bail!("shortcut: the output {shape:?} of input {:?} is too large", x.dims()),
    }
}

/// Requires a kernel of (C,k,k), k odd, and a bias (C) for the C channels of (N,C,H,W) or (N,C).
pub(super) fn depthwise(x: &Tensor, kernel: &Tensor, bias: &Tensor) -> Result<()> {
    let Channels { channels, .. } = Channels::of("depthwise", x.dims())?;
    let [of, k, across] = dims("depthwise", "kernel", kernel)?;
    if of != channels || k != across || k % 2 == 0 {
        bail!(
            "depthwise: the kernel has shape {:?}, expected [{channels},k,k], k odd, for {:?}",
            kernel.dims(),
            x.dims()
        );
    }
    per_channel("depthwise", "bias", x, channels, bias)?;
    same_dtype("depthwise", x, kernel)?;
    same_dtype("depthwise", x, bias)
}

/// Rows and classes of logits and their targets; the targets' values are not checked.
pub(super) fn cross_entropy(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<(usize, usize)> {
    let [rows, classes] = dims("cross_entropy", "logits", logits)?;
    if targets.dims() != [rows] || targets.dtype() != DType::U32 {
        bail!(
            "cross_entropy: the targets are {:?} {:?}, expected U32 [{rows}] for logits {:?}",
            targets.dtype(),
            targets.dims(),
            logits.dims()
        );
    }
    if !(0.0..=1.0).contains(&label_smoothing) {
        bail!("cross_entropy: label smoothing {label_smoothing} is not in 0..=1");
    }
    Ok((rows, classes))
}

/// Height and width of a convolution's input, kernel and output, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv {
    pub h: usize,
    pub w: usize,
    pub kh: usize,
    pub kw: usize,
    pub oh: usize,
    pub ow: usize,
}

impl Conv {
    pub fn new(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Self> {
        let [batch, cin, h, w] = dims("conv2d", "input", x)?;
        let [cout, expected, kh, kw] = dims("conv2d", "weight", weight)?;
        same_dtype("conv2d", x, weight)?;
        if cin != expected {
            bail!("conv2d: input {:?} has {cin} channels, weight {:?} takes {expected}", x.dims(), weight.dims());
        }
        let windows = |size: usize, kernel: usize| {
            let padded = size.checked_add(padding.checked_mul(2)?)?;
            padded.checked_sub(kernel)?.checked_div(stride)?.checked_add(1)
        };
        let (Some(oh), Some(ow)) = (windows(h, kh), windows(w, kw)) else {
            bail!(
                "conv2d: weight {:?} does not fit input {:?} at stride {stride} with padding {padding}",
                weight.dims(),
                x.dims()
            );
        };
        if product(&[batch, cout, oh, ow]).is_none() || product(&[cin, kh, kw, oh, ow]).is_none() {
            bail!("conv2d: input {:?}, weight {:?}, padding {padding}: too large", x.dims(), weight.dims());
        }
        Ok(Self { h, w, kh, kw, oh, ow })
    }
}

/// Number of elements, unless it is beyond what memory can address.
fn product(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= LIMIT)
}
