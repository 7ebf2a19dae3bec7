//! Names of methods: everything that distinguishes them, so that runs with different settings are never averaged.

use std::collections::{BTreeMap, BTreeSet};

use super::horizontal::BatchSizeAxis;
use crate::report::read::{Run, settings};

/// The normalization batch size, as a key beside the settings.
const NORM_BATCH: &str = "norm_batch_size";

/// How a label names [`settings::ROWS_LR`]: the rate at the end of an epoch is not the setting `lr`.
const RATE: &str = "lr(epoch 1)=";

/// The labels of the runs of one section.
pub(super) struct Labels {
    x: BatchSizeAxis,
    /// Settings that differ anywhere in the section.
    anywhere: BTreeSet<String>,
    /// Settings that differ among runs of the same name at the same batch size, by that name.
    at_one_size: BTreeMap<String, BTreeSet<String>>,
}

impl Labels {
    /// Determines in what `runs` differ.
    pub fn of(x: BatchSizeAxis, runs: &[&Run]) -> Self {
        let mut anywhere = BTreeMap::<&str, BTreeSet<&str>>::new();
        let mut cells = BTreeMap::<(String, usize), Vec<&Run>>::new();
        for run in runs {
            for (key, value) in &run.settings {
                anywhere.entry(key).or_default().insert(value);
            }
            cells.entry((base(run), x.of(run))).or_default().push(run);
        }
        let mut at_one_size = BTreeMap::<String, BTreeSet<String>>::new();
        for ((base, _), runs) in cells {
            at_one_size.entry(base).or_default().extend(differences(&runs).into_keys());
        }
        let anywhere = anywhere.into_iter().filter(|(_, values)| values.len() > 1);
        Self { x, anywhere: anywhere.map(|(key, _)| key.to_string()).collect(), at_one_size }
    }

    /// The run's label, followed by the settings in which runs with that label differ; without a label, its method and every
    /// setting that differs in the section.
    pub fn full(&self, run: &Run) -> String {
        let base = base(run);
        let own = self.at_one_size.get(&base);
        let differs = |key: &str| {
            own.is_some_and(|keys| keys.contains(key))
                || (run.label.is_none() && !settings::is_local(key) && self.anywhere.contains(key))
        };
        let mut parts = vec![base.clone()];
        if differs("norm") || differs("double_forward") {
            parts.push(method(run));
        }
        let (params, general): (Vec<_>, Vec<_>) =
            run.settings.iter().filter(|(key, _)| differs(key)).partition(|(key, _)| key.contains('.'));
        parts.extend(params.into_iter().chain(general).map(|(key, value)| said(key, value)));
        let varies = run.label.is_none() || differs(NORM_BATCH);
        if self.x == BatchSizeAxis::BatchSize && varies && run.norm_batch_size != run.batch_size {
            parts.push(format!("nb={}", run.norm_batch_size));
        }
        parts.join(" ")
    }
}

/// The name made of the keys asked for.
pub(super) fn by(run: &Run, keys: &[String]) -> String {
    let part = |key: &String| match key.as_str() {
        "norm" => Some(method(run)),
        "label" => Some(base(run)),
        "run" => Some(run.name.clone()),
        "double_forward" => Some(if run.double_forward { "DF" } else { "no DF" }.to_string()),
        NORM_BATCH => Some(format!("nb={}", run.norm_batch_size)),
        key => run.settings.get(key).map(|value| said(key, value)),
    };
    let parts: Vec<String> = keys.iter().filter_map(part).collect();
    if parts.is_empty() { method(run) } else { parts.join(" ") }
}

/// Whether a label has a rate of rows in it.
pub(super) fn names_rate(label: &str) -> bool {
    label.contains(RATE)
}

/// Everything but the seed in which the runs differ, with the values.
pub(super) fn differences(runs: &[&Run]) -> BTreeMap<String, BTreeSet<String>> {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        values.entry("norm").or_default().insert(run.norm.clone());
        values.entry("double_forward").or_default().insert(run.double_forward.to_string());
        values.entry("batch_size").or_default().insert(run.batch_size.to_string());
        values.entry(NORM_BATCH).or_default().insert(run.norm_batch_size.to_string());
        for (key, value) in &run.settings {
            values.entry(key).or_default().insert(value.clone());
        }
    }
    let several = values.into_iter().filter(|(_, values)| values.len() > 1);
    several.map(|(key, values)| (key.to_string(), values)).collect()
}

/// A run's name without its settings.
fn base(run: &Run) -> String {
    run.label.clone().unwrap_or_else(|| method(run))
}

fn method(run: &Run) -> String {
    let norm = if run.norm.is_empty() { "?" } else { &run.norm };
    format!("{norm}{}", if run.double_forward { " + DF" } else { "" })
}

/// A setting in a label. A normalizer's parameter loses the normalizer's name, which precedes it anyway, unless there is
/// a setting of the same name.
fn said(key: &str, value: &str) -> String {
    if key == settings::ROWS_LR {
        return format!("{RATE}{value}");
    }
    let short = key.rsplit('.').next().unwrap_or(key);
    let clash = short != key && crate::config::is_known(short);
    format!("{}={value}", if clash { key } else { short })
}
