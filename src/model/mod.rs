//! Networks: one file per family, one table that names them ([`MODELS`]).
//!
//! Parameters carry PyTorch's names for the same networks, so that checkpoints load there as they are.

mod design;
pub mod fused;
mod gradients;
mod lenet;
mod mlp;
mod plain;
mod preact_resnet;
mod resnet;
mod store;
pub mod units;
mod vgg;

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Result as CandleResult, Tensor, Var};
use serde::{Deserialize, Serialize};

pub use design::{Architecture, Design, Initialization, Shortcut};
pub use gradients::Gradients;
pub use store::Store;
pub use units::NamedNorm;

use self::fused::{PassInput, Workspace};
use self::units::{Number, Units};
use crate::norm::{Call, NormSpec, Pass, is_statistic};
use crate::{Error, Result};

/// What a network maps: images of that shape to that many classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

/// One line of the table: a family of networks.
pub struct Family {
    /// The name, `D` standing for the number it takes where it takes one.
    pub name: &'static str,
    /// One line of explanation.
    pub about: &'static str,
    /// Whether it has residual blocks.
    residual: bool,
    /// Whether the family has a member of that depth (0 for names without a number).
    has: fn(usize) -> bool,
    build: fn(usize, Task, units::Builder) -> CandleResult<Units>,
}

/// Every network the program knows.
pub static MODELS: &[Family] = &[
    Family { name: "mlp", about: "two hidden layers of 256", residual: false, has: |d| d == 0, build: mlp::build },
    Family { name: "lenet", about: "Caffe's LeNet, 20-50-500", residual: false, has: |d| d == 0, build: lenet::build },
    Family {
        name: "plain",
        about: "five convolutions of 64 channels at full size, the first without normalizer",
        residual: false,
        has: |d| d == 0,
        build: plain::build,
    },
    Family {
        name: "resnetD",
        about: "He et al.'s CIFAR networks, D = 6n+2: resnet8, resnet20, resnet32, resnet44, resnet56, resnet110, ...",
        residual: true,
        has: resnet::has,
        build: resnet::build,
    },
    Family {
        name: "preact-resnetD",
        about: "the same with normalizers and rectifiers before the convolutions",
        residual: true,
        has: resnet::has,
        build: preact_resnet::build,
    },
    Family {
        name: "vggD",
        about: "VGG in its CIFAR form: vgg11, vgg13, vgg16, vgg19",
        residual: false,
        has: vgg::has,
        build: vgg::build,
    },
];

/// The family and depth that `name` means.
fn find(name: &str) -> Result<(&'static Family, usize)> {
    let plain = name.trim().to_lowercase();
    let digits = plain.trim_start_matches(|c: char| !c.is_ascii_digit());
    let stem = &plain[..plain.len() - digits.len()];
    let depth = if digits.is_empty() { Some(0) } else { digits.parse().ok() };
    let known = MODELS.iter().find(|family| family.name.trim_end_matches('D') == stem);
    match (known, depth) {
        (Some(family), Some(depth)) if (family.has)(depth) => Ok((family, depth)),
        (Some(family), _) => {
            Err(Error::config(format!("unknown model `{name}`: `{}` is {}", family.name, family.about)))
        }
        _ => {
            let names: Vec<&str> = MODELS.iter().map(|family| family.name.trim_end_matches('D')).collect();
            let known: Vec<&str> = MODELS.iter().map(|family| family.name).collect();
            let hint = crate::lookup::closest(stem, &names);
            Err(Error::config(format!("unknown model `{name}`{hint}; known: {}", known.join(", "))))
        }
    }
}

/// Whether there is a network of that name.
///
/// # Errors
/// There is none: the message lists the known ones and the closest.
pub fn check(name: &str) -> Result<()> {
    find(name).map(|_| ())
}

/// Whether the network of that name has residual blocks.
///
/// # Errors
/// As [`check`].
pub fn is_residual(name: &str) -> Result<bool> {
    find(name).map(|(family, _)| family.residual)
}

/// How a network computes on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernels {
    /// The passes of [`fused`], with Winograd's algorithm where it is faster.
    #[default]
    Fused,
    /// The same with direct convolutions only.
    Direct,
    /// Operations on tensors, differentiated by candle: what other devices do.
    Plain,
}

/// A network: a chain of units, its normalizers and its tensors.
pub struct Network {
    units: Units,
    norms: Vec<NamedNorm>,
    store: Store,
    kernels: Kernels,
    singles: Arc<Workspace<f32>>,
    doubles: Arc<Workspace<f64>>,
}

/// A differentiated forward pass: logits and what was made of them, both detached.
pub struct LogitsAndLoss {
    /// (N,classes).
    pub logits: Tensor,
    /// A scalar.
    pub loss: Tensor,
}

impl Network {
    /// Builds a network, given by its name or a configuration, for `task` with the normalizer `spec`, its tensors from
    /// `store`.
    ///
    /// # Errors
    /// An unknown name; images too small for the network; a normalizer that the network has no place for; a tensor that
    /// the store lacks or has in another shape.
    pub fn new<'a>(
        architecture: impl Into<Architecture<'a>>,
        task: Task,
        spec: &NormSpec,
        store: Store,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let Architecture { name, design } = architecture.into();
        let (family, depth) = find(name)?;
        let builder = units::Builder::new(store.builder(dtype, device), spec).designed(design);
        let units = (family.build)(depth, task, builder.clone())?;
        let (singles, doubles) = (Workspace::new(true), Workspace::new(true));
        let kernels = Kernels::Plain;
        let mut network = Self { units, norms: builder.norms(), store, kernels, singles, doubles };
        network.use_kernels(Kernels::Fused);
        Ok(network)
    }

    /// Chooses how to compute on the CPU.
    pub fn use_kernels(&mut self, kernels: Kernels) {
        self.kernels = kernels;
        let winograd = kernels == Kernels::Fused;
        (self.singles, self.doubles) = (Workspace::new(winograd), Workspace::new(winograd));
    }

    /// Logits (N,classes) of images (N,C,H,W), differentiable by candle in [`Pass::Train`].
    pub fn forward(&self, x: &Tensor, pass: Pass) -> CandleResult<Tensor> {
        self.forward_at(x, pass.into())
    }

    /// [`Self::forward`] at a known point of training.
    pub fn forward_at(&self, x: &Tensor, call: Call) -> CandleResult<Tensor> {
        let fused = self.is_fused(x) && !call.pass.is_differentiated();
        match x.dtype() {
            DType::F32 if fused => fused::forward(&self.units, x, call, &self.singles),
            DType::F64 if fused => fused::forward(&self.units, x, call, &self.doubles),
            _ => self.units.iter().try_fold(x.clone(), |x, unit| unit.forward(&x, call)),
        }
    }

    /// Training's forward pass and what `loss` makes of its logits, a scalar, whose gradients are added to `gradients`.
    ///
    /// The batches of `before` pass first, each as its pass says, if need be layer by layer beside `x`.
    pub fn differentiate(
        &self,
        before: &[PassInput<Tensor>],
        x: PassInput<Tensor>,
        loss: impl FnOnce(&Tensor) -> CandleResult<Tensor>,
        gradients: &mut Gradients,
    ) -> CandleResult<LogitsAndLoss> {
        match x.x.dtype() {
            DType::F32 if self.is_fused(&x.x) => self.differentiate_fused(before, x, loss, gradients, &self.singles),
            DType::F64 if self.is_fused(&x.x) => self.differentiate_fused(before, x, loss, gradients, &self.doubles),
            _ => {
                for PassInput { x, call } in before {
                    self.forward_at(x, *call)?;
                }
                let logits = self.forward_at(&x.x, x.call)?;
                let loss = loss(&logits)?;
                let mut store = loss.backward()?;
                for (_, var) in self.parameters() {
                    if let Some(gradient) = store.remove(&var) {
                        gradients.add(&var, gradient.detach())?;
                    }
                }
                Ok(LogitsAndLoss { logits: logits.detach(), loss: loss.detach() })
            }
        }
    }

    fn differentiate_fused<T: Number>(
        &self,
        before: &[PassInput<Tensor>],
        x: PassInput<Tensor>,
        loss: impl FnOnce(&Tensor) -> CandleResult<Tensor>,
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> CandleResult<LogitsAndLoss> {
        let mut batches = before.to_vec();
        batches.push(x);
        let (logits, tape) = fused::record(&self.units, &batches, workspace)?;
        let leaf = Var::from_tensor(&logits)?;
        let loss = loss(leaf.as_tensor())?;
        if let Some(g) = loss.backward()?.remove(leaf.as_tensor()) {
            tape.backward(&g, gradients)?;
        }
        Ok(LogitsAndLoss { logits, loss: loss.detach() })
    }

    fn is_fused(&self, x: &Tensor) -> bool {
        self.kernels != Kernels::Plain && x.device().is_cpu()
    }

    /// The normalizers, in the order data meets them.
    pub fn norms(&self) -> &[NamedNorm] {
        &self.norms
    }

    /// Where the tensors live.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Parameters in the network's order: what the optimizer changes.
    pub fn parameters(&self) -> Vec<(String, Var)> {
        self.store.vars().into_iter().filter(|(name, _)| !is_statistic(name)).collect()
    }

    /// The number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|(_, var)| var.elem_count()).sum()
    }

    /// Every tensor by name, parameters and statistics.
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        self.store.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect()
    }
}
