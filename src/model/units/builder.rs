//! Creates the units of a network under PyTorch's names, and collects its normalizers.

use std::sync::{Arc, Mutex};

use candle_core::{Result, Shape, Tensor, bail};
use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use candle_nn::{Init, VarBuilder};

use super::weights::Weight;
use super::{Block, ConvNorm, ConvShape, Convolution, Linear, LinearNorm, NormRelu, PreactBlock};
use crate::model::{Design, Initialization, Shortcut};
use crate::norm::{Norm, NormSpec, Site, WeightForm};

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
    design: Design,
    norms: Arc<Mutex<Vec<NamedNorm>>>,
}

impl<'a> Builder<'a> {
    /// The root of a network.
    pub fn new(vb: VarBuilder<'a>, spec: &'a NormSpec) -> Self {
        Self { vb, spec, design: Design::default(), norms: Arc::default() }
    }

    /// The same with that design.
    pub fn designed(self, design: Design) -> Self {
        Self { design, ..self }
    }

    /// The part called `name`.
    pub fn pp(&self, name: impl ToString) -> Self {
        Self { vb: self.vb.pp(name), ..self.clone() }
    }

    /// The normalizers created so far, in order.
    pub fn norms(&self) -> Vec<NamedNorm> {
        self.norms.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// The normalizer `name`; its scale starts at `scale`.
    fn norm(&self, name: &str, scale: f64, site: impl FnOnce(VarBuilder<'a>) -> Site<'a>) -> Result<Arc<dyn Norm>> {
        let vb = self.vb.pp(name);
        let site = site(vb.clone());
        if site.producer.is_none() && self.spec.needs_producer() {
            bail!(
                "{}: `{}` needs a convolution or linear layer directly before it, and here is none; choose another \
                 normalizer or another network",
                vb.prefix(),
                self.spec.name()
            );
        }
        // The first request for a new tensor decides its initial value.
        vb.get_with_hints(site.features, "weight", Init::Const(scale))?;
        let norm = self.spec.build(site)?;
        let named = NamedNorm { name: vb.prefix(), norm: norm.clone() };
        self.norms.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(named);
        Ok(norm)
    }

    /// Weight of that shape and, where asked for, bias of the layer `name`.
    fn parameters(&self, name: &str, shape: impl Into<Shape>, biased: bool) -> Result<(Tensor, Option<Tensor>)> {
        let (vb, shape) = (self.vb.pp(name), shape.into());
        let (outputs, fan_in) = (shape.dims()[0], shape.dims()[1..].iter().product::<usize>());
        let bound = (fan_in as f64).sqrt().recip();
        let (weight, bias) = match self.design.init {
            Initialization::He => (HE, Init::Const(0.0)),
            Initialization::Torch => [Init::Uniform { lo: -bound, up: bound }; 2].into(),
        };
        let weight = vb.get_with_hints(shape, "weight", weight)?;
        let bias = biased.then(|| vb.get_with_hints(outputs, "bias", bias)).transpose()?;
        Ok((weight, bias))
    }

    /// The weight of a layer before a normalizer, in the form that this or the design asks for.
    fn formed(&self, weight: Tensor) -> Result<Weight> {
        let form = if self.design.center_weights { WeightForm::Centred } else { self.spec.weight_form() };
        form.impose(&weight)?;
        Ok(Weight::new(weight, form))
    }

    fn any_convolution(
        &self,
        name: &str,
        [input, output]: [usize; 2],
        shape: ConvShape,
        biased: bool,
    ) -> Result<Convolution> {
        let (weight, bias) = self.parameters(name, (output, input, shape.size, shape.size), biased)?;
        Ok(Convolution::new(Weight::new(weight, WeightForm::Free), bias, shape))
    }

    fn any_conv_norm(
        &self,
        [conv, norm]: [&str; 2],
        [input, output]: [usize; 2],
        shape: ConvShape,
        Detail { biased, scale, rectified }: Detail,
    ) -> Result<ConvNorm> {
        let (weight, bias) = self.parameters(conv, (output, input, shape.size, shape.size), biased)?;
        let producer = Some(weight.shape().clone());
        let norm = self.norm(norm, scale, |vb| Site { producer, biased, rectified, ..Site::new(output, vb) })?;
        let unit = ConvNorm::new(Convolution::new(self.formed(weight)?, bias, shape), norm);
        Ok(if rectified { unit } else { unit.unrectified() })
    }

    /// A convolution without bias, `<name>.weight` (out, in, size, size), and nothing after it.
    pub fn convolution(&self, name: &str, channels: [usize; 2], shape: ConvShape) -> Result<Convolution> {
        self.any_convolution(name, channels, shape, false)
    }

    /// The same with `<name>.bias` (out).
    pub fn biased_convolution(&self, name: &str, channels: [usize; 2], shape: ConvShape) -> Result<Convolution> {
        self.any_convolution(name, channels, shape, true)
    }

    /// A convolution without bias, `<conv>.weight` (out, in, size, size), and the normalizer `<norm>` after it.
    pub fn conv_norm(&self, conv: &str, norm: &str, channels: [usize; 2], shape: ConvShape) -> Result<ConvNorm> {
        self.any_conv_norm([conv, norm], channels, shape, Detail::default())
    }

    /// The same with `<conv>.bias` (out).
    pub fn biased_conv_norm(&self, conv: &str, norm: &str, channels: [usize; 2], shape: ConvShape) -> Result<ConvNorm> {
        self.any_conv_norm([conv, norm], channels, shape, Detail { biased: true, ..Detail::default() })
    }

    /// The normalizer `<name>` of `channels`, which is told nothing about the layer before it, and ReLU.
    pub fn norm_relu(&self, name: &str, channels: usize) -> Result<NormRelu> {
        Ok(NormRelu::new(self.norm(name, 1.0, |vb| Site::new(channels, vb))?))
    }

    /// He et al.'s basic block: 3x3 convolutions `conv1`, with that stride, and `conv2`, normalizers `bn1` and `bn2`; the
    /// projection, where the block has one, is `downsample.0` with the normalizer `downsample.1`, torchvision's names.
    pub fn block(&self, [input, output]: [usize; 2], stride: usize) -> Result<Block> {
        let first = self.conv_norm("conv1", "bn1", [input, output], three(stride))?;
        let scale = if self.design.zero_init_residual { 0.0 } else { 1.0 };
        let last = Detail { scale, ..Detail::default() };
        let second = self.any_conv_norm(["conv2", "bn2"], [output, output], three(1), last)?;
        let block = Block::new(first, second, stride, output);
        if !self.projects([input, output], stride) {
            return Ok(block);
        }
        let names = ["downsample.0", "downsample.1"];
        let beside = Detail { rectified: false, ..Detail::default() };
        Ok(block.projected(self.any_conv_norm(names, [input, output], ONE, beside)?))
    }

    /// The same with pre-activation: `bn1`, `conv1`, with that stride, `bn2`, `conv2`; the projection is `downsample.0`.
    pub fn preact_block(&self, [input, output]: [usize; 2], stride: usize) -> Result<PreactBlock> {
        let before = self.norm_relu("bn1", input)?;
        let first = self.conv_norm("conv1", "bn2", [input, output], three(stride))?;
        if self.design.zero_init_residual {
            self.vb.pp("conv2").get_with_hints((output, output, 3, 3), "weight", Init::Const(0.0))?;
        }
        let last = self.convolution("conv2", [output, output], three(1))?;
        let block = PreactBlock::new(before, first, last, stride, output);
        match self.projects([input, output], stride) {
            true => Ok(block.projected(self.convolution("downsample.0", [input, output], ONE)?)),
            false => Ok(block),
        }
    }

    /// Whether a block's shortcut is a projection.
    fn projects(&self, [input, output]: [usize; 2], stride: usize) -> bool {
        self.design.shortcut == Shortcut::Projection && (input != output || stride > 1)
    }

    /// A linear layer without bias, `<linear>.weight` (out, in), and the normalizer `<norm>` after it.
    pub fn linear_norm(&self, linear: &str, norm: &str, [input, output]: [usize; 2]) -> Result<LinearNorm> {
        let (weight, _) = self.parameters(linear, (output, input), false)?;
        let producer = Some(weight.shape().clone());
        let norm = self.norm(norm, 1.0, |vb| Site { producer, ..Site::new(output, vb) })?;
        Ok(LinearNorm::new(self.formed(weight)?, norm))
    }

    /// The last layer: `<name>.weight` (out, in) and `<name>.bias`.
    pub fn linear(&self, name: &str, [input, output]: [usize; 2]) -> Result<Linear> {
        let (weight, bias) = self.parameters(name, (output, input), true)?;
        let bias = bias.map_or_else(|| Tensor::zeros(output, weight.dtype(), weight.device()), Ok)?;
        Ok(Linear::new(weight, bias))
    }
}

/// Details of a convolution and its normalizer.
struct Detail {
    /// Whether the convolution has a bias.
    biased: bool,
    /// Initial scale of the normalizer.
    scale: f64,
    /// Whether a ReLU follows.
    rectified: bool,
}

impl Default for Detail {
    fn default() -> Self {
        Self { biased: false, scale: 1.0, rectified: true }
    }
}

/// The 1x1 convolution of a projection; the shortcut has already skipped the other pixels.
const ONE: ConvShape = ConvShape { size: 1, stride: 1, padding: 0 };

fn three(stride: usize) -> ConvShape {
    ConvShape { size: 3, stride, padding: 1 }
}
