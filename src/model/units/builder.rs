//! Creates the units of a network under PyTorch's names, and remembers its normalizers.

use std::sync::{Arc, Mutex};

use candle_core::{Result, Tensor};
use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use candle_nn::{Init, VarBuilder};

use super::{Block, Conv, ConvNorm, Linear, LinearNorm};
use crate::norm::{Norm, NormSpec, Site};

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

/// A place in a network, where units are created.
#[derive(Clone)]
pub struct Builder<'a> {
    vb: VarBuilder<'a>,
    spec: &'a NormSpec,
    norms: Arc<Mutex<Vec<NamedNorm>>>,
}

impl<'a> Builder<'a> {
    /// The root of a network.
    pub fn new(vb: VarBuilder<'a>, spec: &'a NormSpec) -> Self {
        Self { vb, spec, norms: Arc::default() }
    }

    /// The part called `name`.
    pub fn pp(&self, name: impl ToString) -> Self {
        Self { vb: self.vb.pp(name), ..self.clone() }
    }

    /// The normalizers created so far, in order.
    pub fn norms(&self) -> Vec<NamedNorm> {
        self.norms.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn norm(&self, name: &str, weight: &Tensor) -> Result<Arc<dyn Norm>> {
        let vb = self.vb.pp(name);
        let (features, producer) = (weight.dim(0)?, Some(weight.shape().clone()));
        let norm = self.spec.build(Site { features, vb: vb.clone(), producer })?;
        norm.weight_form().impose(weight)?;
        let named = NamedNorm { name: vb.prefix(), norm: norm.clone() };
        self.norms.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(named);
        Ok(norm)
    }

    /// A convolution without bias, `<conv>.weight` (out, in, size, size), and the normalizer `<norm>` behind it.
    pub fn conv_norm(&self, conv: &str, norm: &str, [input, output]: [usize; 2], shape: Conv) -> Result<ConvNorm> {
        let weight = self.vb.pp(conv).get_with_hints((output, input, shape.size, shape.size), "weight", HE)?;
        let norm = self.norm(norm, &weight)?;
        Ok(ConvNorm::new(weight, shape, norm))
    }

    /// He et al.'s basic block: 3x3 convolutions `conv1`, with that stride, and `conv2`, normalizers `bn1` and `bn2`.
    pub fn block(&self, [input, output]: [usize; 2], stride: usize) -> Result<Block> {
        let conv = |stride| Conv { size: 3, stride, padding: 1 };
        let first = self.conv_norm("conv1", "bn1", [input, output], conv(stride))?;
        let second = self.conv_norm("conv2", "bn2", [output, output], conv(1))?;
        Ok(Block::new(first, second, stride, output))
    }

    /// A linear map without bias, `<linear>.weight` (out, in), and the normalizer `<norm>` behind it.
    pub fn linear_norm(&self, linear: &str, norm: &str, [input, output]: [usize; 2]) -> Result<LinearNorm> {
        let weight = self.vb.pp(linear).get_with_hints((output, input), "weight", HE)?;
        let norm = self.norm(norm, &weight)?;
        Ok(LinearNorm::new(weight, norm))
    }

    /// The last layer: `<name>.weight` (out, in) and `<name>.bias`.
    pub fn linear(&self, name: &str, [input, output]: [usize; 2]) -> Result<Linear> {
        let vb = self.vb.pp(name);
        let weight = vb.get_with_hints((output, input), "weight", HE)?;
        Ok(Linear::new(weight, vb.get_with_hints(output, "bias", Init::Const(0.0))?))
    }
}
