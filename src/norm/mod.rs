//! Normalizers: one file each, one trait, one table that names them ([`NORMS`]).
//!
//! Every layer takes (N,C,H,W) or (N,C) and returns the same shape; every call says which [`Pass`] it belongs to.

mod affine;
mod after_map;
mod batch_statistics;
mod bn;
mod bnet;
mod brn;
mod cbn;
mod coefficients;
mod deferred;
mod dyt;
mod error;
mod estbn;
mod forward;
mod frn;
mod gn;
mod gn_bn;
mod groups;
mod hybrid;
mod iebn;
mod instance;
mod length;
mod ln;
mod mabn;
mod mbn;
mod momentum_bn;
mod none;
mod observed;
mod online;
mod pass;
mod registry;
pub(crate) mod remembered;
mod ring;
mod running;
mod state;
mod stochnorm;
mod weight_form;

pub use affine::{Affine, Projection};
pub use after_map::AfterMap;
pub use batch_statistics::BatchStatistics;
pub use bn::{BatchNorm, BatchNormConfig, batch_norm};
pub use bnet::{EnhancedBatchNorm, EnhancedBatchNormConfig, enhanced_batch_norm};
pub use brn::{BatchRenorm, BatchRenormConfig, Relaxation, batch_renorm};
pub use cbn::{CrossIterationBatchNorm, CrossIterationBatchNormConfig, cross_iteration_batch_norm};
pub use coefficients::{Coefficients, Gradient, Input, Producer};
pub use deferred::{DeferredBatchNorm, DeferredBatchNormConfig, deferred_batch_norm};
pub use dyt::{DynamicTanh, DynamicTanhConfig, dynamic_tanh};
pub use error::{NormError, is_undefined};
pub use estbn::{EstimatedBatchNorm, EstimatedBatchNormConfig, estimated_batch_norm};
pub use frn::{FilterResponseNorm, FilterResponseNormConfig, filter_response_norm};
pub use gn::{GroupNorm, GroupNormConfig, group_norm};
pub use gn_bn::{BatchGroupNorm, BatchGroupNormConfig, batch_group_norm};
pub use hybrid::{HybridBatchNorm, HybridBatchNormConfig, hybrid_batch_norm};
pub use iebn::{InstanceEnhancementBatchNorm, InstanceEnhancementBatchNormConfig, instance_enhancement_batch_norm};
pub use instance::{InstanceNorm, InstanceNormConfig, instance_norm};
pub use ln::{LayerNorm, LayerNormConfig, layer_norm};
pub use mabn::{MovingAverageBatchNorm, MovingAverageBatchNormConfig, moving_average_batch_norm};
pub use mbn::{
    InferWith, MemorizedBatchNorm, MemorizedBatchNormConfig, PooledVariance, RefreshWith, StatGrad,
    memorized_batch_norm,
};
pub use momentum_bn::{MomentumBatchNorm, MomentumBatchNormConfig, momentum_batch_norm};
pub use none::{NoNorm, NoNormConfig, no_norm};
pub use observed::LayerObservation;
pub use online::{Compensation, OnlineNorm, OnlineNormConfig, online_norm};
pub use pass::{Call, Pass, Progress};
pub use registry::{Family, Kind, NORMS, NormSpec, Site, find};
pub use state::{Role, StateTensor, is_statistic, role};
pub use stochnorm::{StochasticNorm, StochasticNormConfig, stochastic_norm};
pub use weight_form::WeightForm;

pub use crate::ops::{Granularity, Moments};

use candle_core::{Result, Tensor};

/// A normalization layer with its state.
///
/// A normalizer turns its input's moments into an affine map of each channel ([`Self::coefficients`]) and says how gradients
/// flow through them. The rest is common to all: tensor operations on any device, fused kernels on the CPU.
pub trait Norm: Send + Sync + std::fmt::Debug {
    /// Scale and shift, name and size of the layer.
    fn affine(&self) -> &Affine;

    /// What moments and gradient sums are taken over.
    fn granularity(&self) -> Granularity {
        Granularity::Channel
    }

    /// Whether a pass needs its input's moments; by default every pass but inference does.
    fn observes(&self, pass: Pass) -> bool {
        pass != Pass::Eval
    }

    /// The map that normalizes an input. Updates the layer's state as the pass requires.
    ///
    /// # Errors
    /// An input whose statistics are undefined; a refresh of a batch that is not remembered.
    fn coefficients(&self, input: &Input) -> Result<Coefficients>;

    /// The parameters, attached to the graph, in the order of [`Gradient::parameters`].
    fn parameters(&self) -> Vec<Tensor> {
        self.affine().parameters().map(Tensor::clone).to_vec()
    }

    /// What the layer computes after the map of [`Self::coefficients`], if anything.
    fn after_map(&self) -> Option<AfterMap> {
        None
    }

    /// A parameter per channel that replaces 0 in the ReLU after the layer: max(y, threshold). None for the plain ReLU.
    fn threshold(&self) -> Option<&Tensor> {
        None
    }

    /// Normalizes `x`, (N,C,H,W) or (N,C); see [`Pass`] for what each pass uses and remembers.
    ///
    /// # Errors
    /// Another shape or number of channels, and whatever [`Self::coefficients`] refuses.
    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        self.forward_at(x, pass.into(), None)
    }

    /// [`Self::forward`] for normalizers that depend on training progress, or on the layer that produced their input.
    ///
    /// # Errors
    /// As [`Self::forward`]; a missing `producer` where the normalizer needs one.
    fn forward_at(&self, x: &Tensor, call: Call, producer: Option<&dyn Producer>) -> Result<Tensor> {
        forward::forward(self, x, call, producer)
    }

    /// Name of the inference rule in the column `stats`: `ema`, `memory` or `sample`. By default `ema` where batch statistics
    /// are kept, else `sample`, each image's own.
    fn rule(&self) -> &'static str {
        if self.batch_statistics().is_some() { "ema" } else { "sample" }
    }

    /// Name of the training rule: `batch`, `memory`, `ema` or `sample`. By default `batch` where batch statistics are kept,
    /// else as in inference.
    fn training_rule(&self) -> &'static str {
        if self.batch_statistics().is_some() { "batch" } else { self.rule() }
    }

    /// The batch statistics that the layer keeps, if any; [`Self::inference`] and the methods after it default to them.
    fn batch_statistics(&self) -> Option<BatchStatistics<'_>> {
        None
    }

    /// Statistics used by [`Pass::Eval`], which is gamma (x - mean)/sqrt(var + eps) + beta with them (see
    /// [`Self::infers_by_map`]); none where no batch statistics are kept.
    fn inference(&self) -> Option<Moments> {
        Some(self.batch_statistics()?.inference.get())
    }

    /// Whether [`Pass::Eval`] is that map and nothing more. Otherwise [`Pass::Weighed`] is plain inference and
    /// [`Pass::Frozen`] differentiates inference.
    fn infers_by_map(&self) -> bool {
        true
    }

    /// Converts an input's moments to what inference normalizes by, such as group moments; by default they stay unchanged.
    fn inference_form(&self, moments: &Moments) -> Result<Moments> {
        Ok(moments.clone())
    }

    /// Replaces the statistics used by [`Pass::Eval`] (until the next training pass).
    fn set_inference(&self, moments: &Moments) -> Result<()> {
        self.batch_statistics().map_or(Ok(()), |kept| kept.inference.set(&self.inference_form(moments)?))
    }

    /// The running average of the batch statistics, where the layer keeps one.
    fn ema(&self) -> Option<Moments> {
        Some(self.batch_statistics()?.average.get())
    }

    /// Whether a [`Pass::Refresh`] has anything to refresh.
    fn refreshes(&self) -> bool {
        self.batch_statistics().is_some_and(|kept| kept.refreshes)
    }

    /// What the layer saw in the last pass that took batch statistics.
    fn observed(&self) -> Option<LayerObservation> {
        self.batch_statistics()?.observed.get()
    }
}

/// candle-nn's interface: `train` chooses between training and inference.
macro_rules! module_t {
    ($layer:ty) => {
        impl candle_core::ModuleT for $layer {
            fn forward_t(&self, x: &candle_core::Tensor, train: bool) -> candle_core::Result<candle_core::Tensor> {
                $crate::norm::Norm::forward(self, x, if train { super::Pass::Train } else { super::Pass::Eval })
            }
        }
    };
}
use module_t;

fn check_eps(eps: f64) -> std::result::Result<(), String> {
    match eps.is_finite() && eps > 0.0 {
        true => Ok(()),
        false => Err(format!("eps = {eps}: expected a positive number")),
    }
}

fn check_momentum(momentum: f64) -> std::result::Result<(), String> {
    match momentum > 0.0 && momentum <= 1.0 {
        true => Ok(()),
        false => Err(format!("momentum = {momentum}: expected a number above 0 and at most 1")),
    }
}

fn check_part(key: &str, part: f64) -> std::result::Result<(), String> {
    match (0.0..=1.0).contains(&part) {
        true => Ok(()),
        false => Err(format!("{key} = {part}: expected a fraction of the training, 0 to 1")),
    }
}
