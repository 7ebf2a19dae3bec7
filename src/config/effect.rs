//! Settings that have no effect on a run.

use super::{Config, Layers, LrScaling, ScheduleKind};
use crate::norm::{NormSpec, WeightForm};
use crate::train::optimizer::{self, OPTIMIZERS};
use crate::{Result, model};

/// A setting that was given but has no effect on the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedSetting {
    /// Where it was given: `file:line`, `--set key=value` or `--flag`.
    pub origin: String,
    /// The key; `mbn.size` for a normalizer's parameter.
    pub key: String,
    /// Why it has no effect.
    pub why: String,
    /// Whether its value is the default.
    pub is_default: bool,
    /// Whether giving it with a single run is a mistake. It is none where other methods or values would use it: a
    /// measurement, a normalization batch size, a parameter beside others, `false`.
    pub is_mistake: bool,
}

impl std::fmt::Display for UnusedSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: `{}` has no effect: {}", self.origin, self.key, self.why)
    }
}

impl Layers {
    /// The settings that have no effect on the run that `config` describes.
    ///
    /// # Errors
    /// As [`Config::to_table`].
    pub fn without_effect(&self, config: &Config) -> Result<Vec<UnusedSetting>> {
        let defaults = Config { norm: config.norm.clone(), ..Config::default() }.complete()?.flat()?;
        let reasons = reasons(config)?;
        let params = NormSpec::new(&config.norm, &config.norm_params)?.idle(config.double_forward);
        let beside = |key: &str| params.iter().find(|(idle, _)| *idle == key).map(|(_, why)| why.to_string());
        let mut idle = vec![];
        for entry in self.entries() {
            let key = entry.path();
            let why = match entry.section {
                Some(kind) if kind.name != config.norm => Some(format!("the normalizer is {}", config.norm)),
                Some(_) => beside(&entry.key),
                None => reasons.iter().find(|(known, _)| *known == key).map(|(_, why)| why.clone()),
            };
            if let Some(why) = why {
                let default = match entry.section {
                    Some(kind) => NormSpec::new(kind.name, &toml::Table::new())?.params().get(&entry.key).cloned(),
                    None => defaults.get(&key).cloned(),
                };
                let is_default = default.is_some_and(|value| value == entry.value);
                let is_off = entry.value.as_bool() == Some(false);
                let is_beside = entry.section.is_some_and(|kind| kind.name == config.norm);
                let is_choice = MEASURES.contains(&key.as_str()) || key == "norm_batch_size";
                let is_mistake = !(is_off || is_beside || is_choice);
                // Turning off what is off anyway is harmless.
                if !(is_off && is_default) {
                    idle.push(UnusedSetting { origin: entry.origin.clone(), key, why, is_default, is_mistake });
                }
            }
        }
        Ok(idle)
    }
}

/// Settings that turn on measurements, for normalizers that take batch statistics; training is the same with and without
/// them.
pub(crate) const MEASURES: [&str; 5] = ["precise", "weighing", "evalnorm", "diagnostics", "gap"];

/// The keys that have no effect given the other settings, and why.
fn reasons(config: &Config) -> Result<Vec<(&'static str, String)>> {
    let mut reasons = vec![];
    let mut unless = |needed: bool, keys: &[&'static str], why: &str| {
        if !needed {
            reasons.extend(keys.iter().map(|key| (*key, why.to_string())));
        }
    };
    let norm = NormSpec::new(&config.norm, &config.norm_params)?;
    let statistics = norm.remembers();
    let alone = format!("`{}` takes no batch statistics", config.norm);
    unless(statistics, &MEASURES, &alone);
    // A resolved configuration always has it, equal to the batch size where it was not given.
    unless(statistics || config.norm_batch_size == config.batch_size, &["norm_batch_size"], &alone);
    let nothing = "no statistics are estimated over images: precise, evalnorm, freeze_epochs and diagnostics are off";
    unless(config.estimates(), &["precise_examples"], nothing);
    unless(config.diagnostics, &["diagnostics_every"], "diagnostics is off");
    unless(config.schedule == ScheduleKind::MultiStep, &["lr_gamma"], "schedule is not multi-step");
    let mean = format!("`{}` centers the weights anyway", config.norm);
    unless(norm.weight_form() == WeightForm::Free, &["center_weights"], &mean);
    let residual = model::is_residual(&config.model)?;
    let blocks = format!("`{}` has no residual blocks", config.model);
    unless(residual, &["shortcut", "zero_init_residual"], &blocks);
    let own = optimizer::find(&config.optimizer)?;
    for key in OPTIMIZERS.iter().flat_map(|kind| kind.settings) {
        unless(own.settings.contains(key), &[*key], &format!("the optimizer is {}", own.name));
    }
    unless(config.lr_scaling != LrScaling::None, &["lr_batch"], "lr_scaling is none");
    unless(config.weight_decay > 0.0, &["decay_norm"], "weight_decay is 0");
    unless(config.device == "cpu", &["kernels"], "it applies only to the CPU");
    Ok(reasons)
}
