//! The resolved configuration: completed with all defaults, written as TOML, and hashed into the run's name.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::{Config, DeviceName, Layers};
use crate::model::Kernels;
use crate::norm::NormSpec;
use crate::train::optimizer;
use crate::{Error, Result, data};

/// Version of [`Config::canonical`]; raise it when the same settings start to mean another computation.
const FORMAT: u32 = 3;

/// Settings added since runs were first named: [`Config::canonical`] leaves them out at their defaults, so that older runs
/// keep their names.
const LATER: [&str; 11] = [
    "adam_eps",
    "beta1",
    "beta2",
    "center_weights",
    "evalnorm",
    "freeze_epochs",
    "init",
    "optimizer",
    "shortcut",
    "weighing",
    "zero_init_residual",
];

impl Config {
    /// Checked ([`Config::validate`]) and completed: names in canonical spelling, `norm_batch_size` and `augment`
    /// filled in, every parameter of the normalizer present.
    ///
    /// # Errors
    /// Those of [`Config::validate`].
    pub fn resolve(self) -> Result<Self> {
        self.validate()?;
        self.complete()
    }

    /// Completed as [`Config::resolve`] does, whether or not the settings are consistent.
    pub(crate) fn complete(mut self) -> Result<Self> {
        let dataset = data::find(&self.dataset)?;
        let norm = NormSpec::new(&self.norm, &self.norm_params)?;
        self.dataset = dataset.name.into();
        self.model = self.model.trim().to_lowercase();
        self.norm = norm.name().into();
        self.optimizer = optimizer::find(&self.optimizer)?.name.into();
        self.norm_params = norm.params().clone();
        self.augment = self.augment.or(Some(dataset.augment));
        if self.norm_batch_size == 0 {
            self.norm_batch_size = self.batch_size;
        }
        // Only the CPU has fused kernels.
        if self.device.parse::<DeviceName>()? != DeviceName::Cpu {
            self.kernels = Kernels::Plain;
        }
        Ok(self)
    }

    /// The configuration with `digest` ([`data::digest`]) as its `data_digest`; errors name the data by `place`.
    ///
    /// # Errors
    /// It has another `data_digest` already.
    pub fn with_data_digest(&self, digest: &str, place: impl AsRef<Path>) -> Result<Self> {
        match &self.data_digest {
            Some(own) if own != digest => {
                let why = format!(
                    "other images or labels of {} than the run's: their digest is {digest}, data_digest is {own}; point \
                     --data-dir to the run's data, or leave data_digest out for a new run",
                    self.dataset
                );
                Err(Error::data(place, why))
            }
            _ => Ok(Self { data_digest: Some(digest.to_string()), ..self.clone() }),
        }
    }

    /// Reads a resolved configuration back, such as a run folder's `config.toml`.
    ///
    /// # Errors
    /// The file cannot be read, or a setting in it is unknown or wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Layers::new().file(path)?.resolve()
    }

    /// The settings as one TOML table, the normalizer's parameters in the table of its name.
    ///
    /// # Errors
    /// A value TOML cannot hold; a valid configuration has none.
    pub fn to_table(&self) -> Result<Table> {
        let mut table = Table::try_from(self).map_err(unwritable)?;
        if !self.norm_params.is_empty() {
            table.insert(self.norm.clone(), Value::Table(self.norm_params.clone()));
        }
        Ok(table)
    }

    /// The settings as [`Config::to_table`] has them, a normalizer's parameter under `mbn.size`.
    pub(crate) fn flat(&self) -> Result<BTreeMap<String, Value>> {
        let mut flat = BTreeMap::new();
        for (key, value) in self.to_table()? {
            match value {
                Value::Table(params) => flat.extend(params.into_iter().map(|(name, v)| (format!("{key}.{name}"), v))),
                value => drop(flat.insert(key, value)),
            }
        }
        Ok(flat)
    }

    /// The file `config.toml`: reading it back gives the same configuration.
    ///
    /// # Errors
    /// As [`Config::to_table`].
    pub fn to_toml(&self) -> Result<String> {
        let mut text = match self.data_digest {
            Some(_) => format!("# Every setting of the run {}.\n", self.run_name()?),
            None => "# Every setting; data_digest is added when the data are read.\n".to_string(),
        };
        text.push_str("# To repeat the run: mbn train --config THIS_FILE\n\n");
        text.push_str(&toml::to_string(self).map_err(unwritable)?);
        if !self.norm_params.is_empty() {
            let params = toml::to_string(&self.norm_params).map_err(unwritable)?;
            text.push_str(&format!("\n[{}]\n{params}", self.norm));
        }
        Ok(text)
    }

    /// What the run's hash is taken over: the line `mbn-config VERSION`, then one line `key = value` per setting of the
    /// resolved configuration, defaults included, keys sorted, a normalizer's parameter as `mbn.size = 16`, values as
    /// TOML writes them, each line ended by `\n`. Settings that later versions added (`freeze_epochs`, `optimizer`, `beta1`,
    /// `beta2`, `adam_eps`, `center_weights`, `init`, `shortcut`, `zero_init_residual`, `weighing`, `evalnorm`) appear only
    /// where they differ from their defaults.
    ///
    /// # Errors
    /// As [`Config::to_table`].
    pub fn canonical(&self) -> Result<String> {
        let (mut flat, later) = (self.flat()?, later()?);
        flat.retain(|key, value| later.get(key) != Some(value));
        let mut lines: Vec<String> = flat.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        lines.sort();
        Ok(format!("mbn-config {FORMAT}\n{}", lines.concat()))
    }

    /// The run's name, such as `digits-lenet-mbn-df-b2-s0-1a2b3c4d`: the settings people look for first, then the
    /// first eight hexadecimal digits of the BLAKE3 hash of [`Config::canonical`]. `nb` appears where the normalization
    /// batch is not the batch. Call it on a resolved configuration: a default left out hashes differently from one
    /// written down. The name of a run includes the digest of its data ([`Config::with_data_digest`]).
    ///
    /// # Errors
    /// As [`Config::to_table`].
    pub fn run_name(&self) -> Result<String> {
        let hash = blake3::hash(self.canonical()?.as_bytes()).to_hex();
        let passes = if self.double_forward { "-df" } else { "" };
        let micro = match self.norm_batch_size {
            0 => String::new(),
            same if same == self.batch_size => String::new(),
            size => format!("-nb{size}"),
        };
        let Self { dataset, model, norm, batch_size, seed, .. } = self;
        Ok(format!("{dataset}-{model}-{norm}{passes}-b{batch_size}{micro}-s{seed}-{:.8}", hash.as_str()))
    }
}

/// The settings of [`LATER`] at their defaults.
fn later() -> Result<Table> {
    let mut table = Config::default().to_table()?;
    table.retain(|key, _| LATER.contains(&key));
    Ok(table)
}

/// A recorded configuration, completed with the settings that were added after it was written.
///
/// # Errors
/// As [`Config::to_table`].
pub(crate) fn up_to_date(recorded: Table) -> Result<Table> {
    let mut table = later()?;
    table.extend(recorded);
    Ok(table)
}

fn unwritable(error: toml::ser::Error) -> Error {
    Error::config(format!("the configuration cannot be written as TOML: {error}"))
}
