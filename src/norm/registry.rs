//! The table of normalizers.

use std::sync::Arc;

use candle_core::Result as CandleResult;
use candle_nn::VarBuilder;
use serde::{de::DeserializeOwned, Serialize};
use toml::Table;

use super::Norm;
use crate::{Error, Result};

/// What a normalizer's file provides to be named in [`NORMS`].
pub trait Family {
    /// Name in commands, files and tables.
    const NAME: &'static str;
    /// One line for `--help` and reports.
    const ABOUT: &'static str;
    /// Whether it remembers statistics that Double-Forward can refresh.
    const REFRESHES: bool;
    /// Its parameters, with their defaults.
    type Config: Default + Serialize + DeserializeOwned;
    /// Contradictions among the parameters, in words.
    fn check(_config: &Self::Config) -> std::result::Result<(), String> {
        Ok(())
    }
    /// Builds the layer for `features` channels.
    fn build(features: usize, config: &Self::Config, vb: VarBuilder) -> CandleResult<Arc<dyn Norm>>;
}

/// One line of the table.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Name in commands, files and tables.
    pub name: &'static str,
    /// One line of explanation.
    pub about: &'static str,
    /// Whether it remembers statistics that Double-Forward can refresh.
    pub refreshes: bool,
    resolve: fn(&Table) -> Result<Table>,
    build: fn(usize, &Table, VarBuilder) -> CandleResult<Arc<dyn Norm>>,
}

/// Every normalizer the program knows.
pub static NORMS: &[Kind] = &[
    kind::<super::BatchNorm>(),
    kind::<super::MemorizedBatchNorm>(),
    kind::<super::GroupNorm>(),
    kind::<super::NoNorm>(),
];

const fn kind<F: Family>() -> Kind {
    Kind { name: F::NAME, about: F::ABOUT, refreshes: F::REFRESHES, resolve: resolve::<F>, build: build::<F> }
}

fn parse<F: Family>(params: &Table) -> Result<F::Config> {
    let invalid = |why: String| Error::config(format!("[{}] {}", F::NAME, why.trim_end()));
    let config = params.clone().try_into::<F::Config>().map_err(|e| invalid(e.to_string()))?;
    F::check(&config).map_err(invalid)?;
    Ok(config)
}

fn resolve<F: Family>(params: &Table) -> Result<Table> {
    Table::try_from(parse::<F>(params)?).map_err(|e| Error::config(format!("[{}] {e}", F::NAME)))
}

fn build<F: Family>(features: usize, params: &Table, vb: VarBuilder) -> CandleResult<Arc<dyn Norm>> {
    let config = parse::<F>(params).map_err(candle_core::Error::wrap)?;
    F::build(features, &config, vb)
}

impl Kind {
    /// The full parameters: `params` checked (unknown keys, types, ranges) and completed with the defaults.
    pub fn resolve(&self, params: &Table) -> Result<Table> {
        (self.resolve)(params)
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
    params: Table,
}

impl NormSpec {
    /// The normalizer `name` with `params` (missing ones at their defaults).
    ///
    /// # Errors
    /// An unknown name or parameter, a value out of range.
    pub fn new(name: &str, params: &Table) -> Result<Self> {
        let kind = find(name)?;
        Ok(Self { kind, params: kind.resolve(params)? })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Whether it remembers statistics that Double-Forward can refresh.
    pub fn refreshes(&self) -> bool {
        self.kind.refreshes
    }

    /// All its parameters.
    pub fn params(&self) -> &Table {
        &self.params
    }

    /// The layer for `features` channels, its tensors taken from `vb`.
    pub fn build(&self, features: usize, vb: VarBuilder) -> CandleResult<Arc<dyn Norm>> {
        (self.kind.build)(features, &self.params, vb)
    }
}
