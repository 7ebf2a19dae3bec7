//! The flags of `mbn train` that are settings of the run: each field is named like its key in the configuration.

mod flags;

use std::io::{self, Read};

use anyhow::Context;
use clap::Args;
use mbn::Error;
use mbn::config::{Config, Layers};
use serde::Serialize;
use toml::Table;

use self::flags::{DataFlags, LayerFlags, MachineFlags, MeasureFlags, ModelFlags, NormFlags, OptimizationFlags};

/// Settings on top of the defaults: a file, and over it `--set` and flags.
#[derive(Args)]
pub struct Settings {
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    norm: NormFlags,
    #[command(flatten)]
    optimization: OptimizationFlags,
    #[command(flatten)]
    machine: MachineFlags,
    #[command(flatten)]
    measures: MeasureFlags,
    #[command(flatten)]
    layers: LayerFlags,
}

impl Settings {
    /// The resolved configuration, defaults < file < `--set` < flags, and notes on settings without effect.
    ///
    /// # Errors
    /// A setting that is unknown, out of range or contradicts another, or has no effect.
    pub fn resolve(&self) -> anyhow::Result<(Config, Vec<String>)> {
        let (name, file) = match &self.layers.config {
            None => (None, Layers::new()),
            Some(path) if path.as_os_str() == "-" => {
                let mut bytes = vec![];
                io::stdin().lock().read_to_end(&mut bytes).context("stdin")?;
                (Some("stdin".into()), Layers::new().bytes("stdin", bytes)?)
            }
            Some(path) => (Some(path.display().to_string()), Layers::new().file(path)?),
        };
        let empty = name
            .filter(|_| file.is_empty())
            .map(|name| format!("note: {name} holds no settings: the defaults are used"));
        let mut given = Layers::new();
        for assignment in &self.layers.set {
            given = given.set(assignment)?;
        }
        given.once()?;
        file.clone().and(&given).build()?; // all of it, also what a flag gives, too
        let given = given.and(&self.flags()?);
        let overridden = given.overridden().into_iter().map(|text| format!("note: {text}"));
        let config = file.clone().and(&given).resolve()?;
        // On the command line, most settings without effect are mistakes; a file may serve several kinds of runs.
        let (mistakes, others): (Vec<_>, Vec<_>) =
            given.without_effect(&config)?.into_iter().partition(|idle| idle.is_mistake);
        if let Some(idle) = mistakes.first() {
            return Err(Error::config(idle.to_string()).into());
        }
        let in_file = file.without_effect(&config)?.into_iter().filter(|idle| !idle.is_default);
        let idle = in_file.chain(others).map(|idle| format!("note: {idle}"));
        let notes = empty.into_iter().chain(overridden).chain(idle).collect();
        Ok((config, notes))
    }

    /// The flags that were given, under their keys in the configuration.
    fn flags(&self) -> Result<Layers, Error> {
        let mut all = Table::new();
        all.extend(given(&self.data)?);
        all.extend(given(&self.model)?);
        all.extend(given(&self.norm)?);
        all.extend(given(&self.optimization)?);
        all.extend(given(&self.machine)?);
        all.extend(given(&self.measures)?);
        let negated = [("augment", self.data.no_augment), ("gap", self.measures.no_gap)];
        let negated: Vec<&str> = negated.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect();
        Ok(Layers::new().flags(all).negated_flags(&negated))
    }
}

/// The flags that were given, under their fields' names.
///
/// # Errors
/// A number that TOML cannot hold: 2^63 or more.
pub fn given(flags: &impl Serialize) -> Result<Table, Error> {
    Table::try_from(flags).map_err(|e| Error::config(format!("a number given as a flag is too large: {e}")))
}
