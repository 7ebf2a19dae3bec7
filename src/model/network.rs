//! A network: construction by name, forward passes, gradients.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Result as CandleResult, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::chain;
use super::fused::{PassInput, Workspace};
use super::units::{self, NamedNorm, Number, Units};
use super::{Architecture, Gradients, Store, Task, find};
use crate::Result;
use crate::norm::{Call, NormSpec, Pass, is_statistic};

/// How a network computes on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernels {
    /// The fused passes of [`fused`](super::fused), with Winograd's algorithm where it is faster.
    #[default]
    Fused,
    /// The same with direct convolutions only.
    Direct,
    /// Tensor operations, differentiated by candle, as on other devices.
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

/// The results of a differentiated forward pass, detached.
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
    /// An unknown name; images too small for the network; a normalizer that needs a layer before it where the network has
    /// none; a tensor that the store lacks or has in another shape.
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

    /// Chooses how the network computes on the CPU.
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
            DType::F32 if fused => chain::forward(&self.units, x, call, &self.singles),
            DType::F64 if fused => chain::forward(&self.units, x, call, &self.doubles),
            _ => self.units.iter().try_fold(x.clone(), |x, unit| unit.forward(&x, call)),
        }
    }

    /// The training pass over `x` and its `loss`, a scalar function of the logits; adds the loss's gradients to `gradients`.
    ///
    /// The batches of `before` go first, each in its own pass; the fused passes take them through each layer together with
    /// `x`, with the same result.
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
        let (logits, tape) = chain::record(&self.units, &batches, workspace)?;
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

    /// The normalizers, in the network's order.
    pub fn norms(&self) -> &[NamedNorm] {
        &self.norms
    }

    /// Name of its normalizers' inference rule ([`crate::norm::Norm::rule`]).
    pub fn rule(&self) -> &'static str {
        self.norms.first().map_or("sample", |layer| layer.norm.rule())
    }

    /// Name of its normalizers' training rule ([`crate::norm::Norm::training_rule`]).
    pub fn training_rule(&self) -> &'static str {
        self.norms.first().map_or("sample", |layer| layer.norm.training_rule())
    }

    /// The store of its tensors.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The parameters, which the optimizer updates, in the network's order.
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
