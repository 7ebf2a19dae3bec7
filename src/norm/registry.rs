//! The table of normalizers.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::{Result as CandleResult, Shape};
use candle_nn::VarBuilder;
use serde::{Serialize, de::DeserializeOwned};
use toml::Table;

use super::state::{Role, StateTensor};
use super::{Norm, WeightForm};
use crate::{Error, Result};

/// What a layer is built from: its place in the network.
pub struct Site<'a> {
    /// Channels.
    pub features: usize,
    /// Source of its parameters and state, by name.
    pub vb: VarBuilder<'a>,
    /// Shape of the weight of the convolution or linear layer before it, where known.
    pub producer: Option<Shape>,
    /// Whether that layer has a bias.
    pub biased: bool,
    /// Whether a ReLU follows.
    pub rectified: bool,
}

impl<'a> Site<'a> {
    /// A layer of `features` channels, with nothing known about the layer before it, and a ReLU after it.
    pub fn new(features: usize, vb: VarBuilder<'a>) -> Self {
        Self { features, vb, producer: None, biased: false, rectified: true }
    }
}

/// What a normalizer provides for its entry in [`NORMS`].
pub trait Family {
    /// Name in commands, files and tables.
    const NAME: &'static str;
    /// One line for `--help` and reports.
    const ABOUT: &'static str;
    /// Whether it remembers statistics that Double-Forward can refresh.
    const REFRESHES: bool;
    /// Whether it needs the convolution or linear layer before it, as a [`super::Producer`].
    const NEEDS_PRODUCER: bool = false;
    /// The constraint on the weights of the layer before it.
    const WEIGHTS: WeightForm = WeightForm::Free;
    /// The tensors it keeps besides its parameters.
    const STATE: &'static [StateTensor];
    /// Its parameters, with their defaults.
    type Config: Clone + Debug + Default + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// Checks the parameters; the message names the key, its value and what is accepted.
    fn check(_config: &Self::Config) -> std::result::Result<(), String> {
        Ok(())
    }
    /// The parameters without effect beside the others, each with why; `refreshed` says whether Double-Forward is on.
    fn idle(_config: &Self::Config, _refreshed: bool) -> Vec<(&'static str, &'static str)> {
        vec![]
    }
    /// Builds the layer.
    fn build(site: Site, config: &Self::Config) -> CandleResult<Arc<dyn Norm>>;
}

/// An entry of [`NORMS`].
#[derive(Clone, Copy)]
pub struct Kind {
    /// Name in commands, files and tables.
    pub name: &'static str,
    /// One line of explanation.
    pub about: &'static str,
    /// Whether it remembers statistics that Double-Forward can refresh.
    pub refreshes: bool,
    /// Whether it needs the convolution or linear layer before it, as a [`super::Producer`].
    pub needs_producer: bool,
    /// The constraint on the weights of the layer before it.
    pub weights: WeightForm,
    /// The tensors it keeps besides its parameters.
    pub state: &'static [StateTensor],
    parse: fn(&Table) -> Result<Arc<dyn Parameters>>,
}

/// Every normalizer the program knows.
pub static NORMS: &[Kind] = &[
    kind::<super::BatchNorm>(),
    kind::<super::MemorizedBatchNorm>(),
    kind::<super::MovingAverageBatchNorm>(),
    kind::<super::CrossIterationBatchNorm>(),
    kind::<super::BatchRenorm>(),
    kind::<super::MomentumBatchNorm>(),
    kind::<super::HybridBatchNorm>(),
    kind::<super::StochasticNorm>(),
    kind::<super::DeferredBatchNorm>(),
    kind::<super::OnlineNorm>(),
    kind::<super::InstanceEnhancementBatchNorm>(),
    kind::<super::EnhancedBatchNorm>(),
    kind::<super::BatchGroupNorm>(),
    kind::<super::EstimatedBatchNorm>(),
    kind::<super::GroupNorm>(),
    kind::<super::LayerNorm>(),
    kind::<super::InstanceNorm>(),
    kind::<super::FilterResponseNorm>(),
    kind::<super::DynamicTanh>(),
    kind::<super::NoNorm>(),
];

const fn kind<F: Family + 'static>() -> Kind {
    Kind {
        name: F::NAME,
        about: F::ABOUT,
        refreshes: F::REFRESHES,
        needs_producer: F::NEEDS_PRODUCER,
        weights: F::WEIGHTS,
        state: F::STATE,
        parse: parse::<F>,
    }
}

fn parse<F: Family + 'static>(params: &Table) -> Result<Arc<dyn Parameters>> {
    let invalid = |why: String| Error::Parameter { norm: F::NAME, reason: why.trim_end().to_string() };
    let config = params.clone().try_into::<F::Config>().map_err(|e| invalid(e.to_string()))?;
    F::check(&config).map_err(invalid)?;
    Ok(Arc::new(TypedParameters::<F>(config)))
}

/// A normalizer's typed parameters behind one interface.
trait Parameters: Debug + Send + Sync {
    fn table(&self) -> Result<Table>;
    fn idle(&self, refreshed: bool) -> Vec<(&'static str, &'static str)>;
    fn build(&self, site: Site) -> CandleResult<Arc<dyn Norm>>;
}

struct TypedParameters<F: Family>(F::Config);

impl<F: Family> Debug for TypedParameters<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<F: Family> Parameters for TypedParameters<F> {
    fn table(&self) -> Result<Table> {
        Table::try_from(&self.0).map_err(|e| Error::Parameter { norm: F::NAME, reason: e.to_string() })
    }

    fn idle(&self, refreshed: bool) -> Vec<(&'static str, &'static str)> {
        F::idle(&self.0, refreshed)
    }

    fn build(&self, site: Site) -> CandleResult<Arc<dyn Norm>> {
        F::build(site, &self.0)
    }
}

impl Kind {
    /// The full parameters: `params` checked and completed with the defaults.
    ///
    /// # Errors
    /// An unknown key, a wrong type, a value out of range.
    pub fn resolve(&self, params: &Table) -> Result<Table> {
        (self.parse)(params)?.table()
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// The normalizer of that name.
///
/// # Errors
/// An unknown name: the message lists the known ones and the closest.
pub fn find(name: &str) -> Result<&'static Kind> {
    crate::lookup::lookup("normalizer", name, NORMS, |k| k.name)
}

/// A normalizer with its parameters: what a network is built with.
#[derive(Debug, Clone)]
pub struct NormSpec {
    kind: &'static Kind,
    parameters: Arc<dyn Parameters>,
    table: Table,
}

impl NormSpec {
    /// The normalizer `name` with `params` (missing ones at their defaults).
    ///
    /// # Errors
    /// An unknown name or parameter, a value out of range.
    pub fn new(name: &str, params: &Table) -> Result<Self> {
        let kind = find(name)?;
        let parameters = (kind.parse)(params)?;
        Ok(Self { kind, table: parameters.table()?, parameters })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Whether it remembers statistics that Double-Forward can refresh.
    pub fn refreshes(&self) -> bool {
        self.kind.refreshes
    }

    /// Whether it needs the convolution or linear layer before it, as a [`super::Producer`].
    pub fn needs_producer(&self) -> bool {
        self.kind.needs_producer
    }

    /// Whether inference normalizes by statistics remembered from batches.
    pub fn remembers(&self) -> bool {
        self.kind.state.iter().any(|tensor| tensor.role == Role::Inference)
    }

    /// The constraint on the weights of the layer before it.
    pub fn weight_form(&self) -> WeightForm {
        self.kind.weights
    }

    /// All its parameters.
    pub fn params(&self) -> &Table {
        &self.table
    }

    /// Its parameters without effect beside the others, each with why; `refreshed` says whether Double-Forward is on.
    pub fn idle(&self, refreshed: bool) -> Vec<(&'static str, &'static str)> {
        self.parameters.idle(refreshed)
    }

    /// Builds the layer.
    ///
    /// # Errors
    /// A tensor that the builder lacks or has in another shape; parameters that do not fit the layer.
    pub fn build(&self, site: Site) -> CandleResult<Arc<dyn Norm>> {
        self.parameters.build(site)
    }
}
