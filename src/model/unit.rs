//! The units networks are made of, and the only place where they meet the operations: a faster or more fused operation
//! goes in here, not into the networks, which are chains of units.

use std::sync::{Arc, Mutex};

use candle_core::{Result, Tensor};
use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use candle_nn::{Init, VarBuilder};

use crate::norm::{Norm, NormSpec, Pass};
use crate::ops;

/// He et al.'s initialisation: normal, variance 2/fan_in.
const HE: Init =
    Init::Kaiming { dist: NormalOrUniform::Normal, fan: FanInOut::FanIn, non_linearity: NonLinearity::ReLU };

/// A normalization layer with its name in the network.
#[derive(Debug, Clone)]
pub struct NamedNorm {
    /// Path in the network, `layer1.0.bn1`.
    pub name: String,
    /// The layer.
    pub norm: Arc<dyn Norm>,
}

/// Creates the units of a network under PyTorch's names, and remembers its normalizers.
#[derive(Clone)]
pub struct Builder<'a> {
    vb: VarBuilder<'a>,
    spec: &'a NormSpec,
    norms: Arc<Mutex<Vec<NamedNorm>>>,
}

impl<'a> Builder<'a> {
    /// A builder at the root of a network.
    pub fn new(vb: VarBuilder<'a>, spec: &'a NormSpec) -> Self {
        Self { vb, spec, norms: Arc::default() }
    }

    /// The builder of the part called `name`.
    pub fn pp(&self, name: impl ToString) -> Self {
        Self { vb: self.vb.pp(name), ..self.clone() }
    }

    /// The normalizers created so far, in order.
    pub fn norms(&self) -> Vec<NamedNorm> {
        self.norms.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn norm(&self, name: &str, features: usize) -> Result<Arc<dyn Norm>> {
        let vb = self.vb.pp(name);
        let norm = self.spec.build(features, vb.clone())?;
        let named = NamedNorm { name: vb.prefix(), norm: norm.clone() };
        self.norms.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(named);
        Ok(norm)
    }

    /// A convolution without bias, `<conv>.weight` (out, in, size, size), and the normalizer `<norm>` behind it.
    pub fn conv_norm(&self, conv: &str, norm: &str, [input, output]: [usize; 2], shape: Conv) -> Result<ConvNorm> {
        let weight = self.vb.pp(conv).get_with_hints((output, input, shape.size, shape.size), "weight", HE)?;
        Ok(ConvNorm { weight, shape, norm: self.norm(norm, output)?, pooled: false })
    }

    /// He et al.'s basic block: 3x3 convolutions `conv1`, with that stride, and `conv2`, normalizers `bn1` and `bn2`.
    pub fn block(&self, [input, output]: [usize; 2], stride: usize) -> Result<Block> {
        let conv = |stride| Conv { size: 3, stride, padding: 1 };
        Ok(Block {
            conv1: self.conv_norm("conv1", "bn1", [input, output], conv(stride))?,
            conv2: self.conv_norm("conv2", "bn2", [output, output], conv(1))?,
            stride,
            channels: output,
        })
    }

    /// A linear map without bias, `<linear>.weight` (out, in), and the normalizer `<norm>` behind it.
    pub fn linear_norm(&self, linear: &str, norm: &str, [input, output]: [usize; 2]) -> Result<LinearNorm> {
        let weight = self.vb.pp(linear).get_with_hints((output, input), "weight", HE)?;
        Ok(LinearNorm { weight, norm: self.norm(norm, output)? })
    }

    /// The last layer: `<name>.weight` (out, in) and `<name>.bias`.
    pub fn linear(&self, name: &str, [input, output]: [usize; 2]) -> Result<Linear> {
        let vb = self.vb.pp(name);
        let weight = vb.get_with_hints((output, input), "weight", HE)?;
        Ok(Linear { weight, bias: vb.get_with_hints(output, "bias", Init::Const(0.0))? })
    }
}

/// A parameter as the pass wants it: attached to the graph only where it is differentiated.
fn attached(parameter: &Tensor, pass: Pass) -> Tensor {
    if pass.is_differentiated() {
        parameter.clone()
    } else {
        parameter.detach()
    }
}

/// Kernel size, stride and zero padding of a square convolution.
#[derive(Debug, Clone, Copy)]
pub struct Conv {
    /// Rows and columns of the kernel.
    pub size: usize,
    /// Step between windows.
    pub stride: usize,
    /// Zeros around the picture.
    pub padding: usize,
}

/// relu(norm(conv(x))): convolution without bias, normalizer, rectifier; behind it, where asked for, the maximum over 2x2
/// windows side by side.
#[derive(Debug)]
pub struct ConvNorm {
    /// (out, in, size, size).
    pub(super) weight: Tensor,
    pub(super) shape: Conv,
    pub(super) norm: Arc<dyn Norm>,
    pub(super) pooled: bool,
}

impl ConvNorm {
    /// The same with the maximum over 2x2 windows behind it.
    pub fn pooled(self) -> Self {
        Self { pooled: true, ..self }
    }

    /// norm(conv(x)).
    fn linear(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let y = ops::conv2d(x, &attached(&self.weight, pass), self.shape.stride, self.shape.padding)?;
        self.norm.forward(&y, pass)
    }
}

/// He et al.'s basic block: relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)).
#[derive(Debug)]
pub struct Block {
    pub(super) conv1: ConvNorm,
    pub(super) conv2: ConvNorm,
    pub(super) stride: usize,
    pub(super) channels: usize,
}

/// relu(norm(W x)).
#[derive(Debug)]
pub struct LinearNorm {
    /// (out, in).
    pub(super) weight: Tensor,
    pub(super) norm: Arc<dyn Norm>,
}

/// W x + b.
#[derive(Debug)]
pub struct Linear {
    /// (out, in).
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

/// One link of the chain that a network is.
///
/// Each has two forms: this one, in differentiable operations on tensors, for every device and number type; and the one
/// in [`super::fused`], a forward and a backward pass of its own on the CPU.
#[derive(Debug)]
pub enum Unit {
    /// Convolution, normalizer, rectifier; maximum.
    Conv(ConvNorm),
    /// Residual block.
    Block(Block),
    /// Mean over height and width, (N,C,H,W) to (N,C).
    GlobalAvgPool,
    /// (N,C,H,W) to (N,C·H·W).
    Flatten,
    /// Linear map, normalizer, rectifier.
    Linear(LinearNorm),
    /// The last linear map, to the logits.
    Last(Linear),
}

impl Unit {
    /// The unit's output.
    pub fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        match self {
            Unit::Conv(conv) => {
                let y = ops::relu(&conv.linear(x, pass)?)?;
                if conv.pooled {
                    ops::max_pool2d(&y, 2)
                } else {
                    Ok(y)
                }
            }
            Unit::Block(block) => {
                let shortcut = ops::shortcut(x, block.stride, block.channels)?;
                let inner = ops::relu(&block.conv1.linear(x, pass)?)?;
                ops::relu(&(block.conv2.linear(&inner, pass)? + shortcut)?)
            }
            Unit::GlobalAvgPool => ops::global_avg_pool(x),
            Unit::Flatten => x.flatten_from(1),
            Unit::Linear(linear) => {
                let y = ops::linear(x, &attached(&linear.weight, pass), None)?;
                ops::relu(&linear.norm.forward(&y, pass)?)
            }
            Unit::Last(last) => ops::linear(x, &attached(&last.weight, pass), Some(&attached(&last.bias, pass))),
        }
    }
}
