//! What a method is called: all that tells it from the others, so that nothing the settings vary is averaged.

use std::collections::{BTreeMap, BTreeSet};

use super::horizontal::X;
use crate::report::read::{Run, settings};

/// The normalization batch as a key beside the settings.
const NORM_BATCH: &str = "norm_batch_size";

/// The labels of the runs of one task.
pub(super) struct Labels {
    x: X,
    /// Settings that differ anywhere in the task.
    anywhere: BTreeSet<String>,
    /// Settings that differ among runs of the same name at the same batch size, by that name.
    at_one_size: BTreeMap<String, BTreeSet<String>>,
}

impl Labels {
    /// Looks at how `runs` differ.
    pub fn of(x: X, runs: &[&Run]) -> Self {
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

    /// The label that the run was given, and behind it what differs among the runs that share it; without one, its
    /// method and every setting that differs in the task.
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
        if self.x == X::BatchSize && varies && run.norm_batch_size != run.batch_size {
            parts.push(format!("nb={}", run.norm_batch_size));
        }
        parts.join(" ")
    }
}

/// The name by the keys asked for.
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

/// What a run is called before its settings are looked at.
fn base(run: &Run) -> String {
    run.label.clone().unwrap_or_else(|| method(run))
}

fn method(run: &Run) -> String {
    let norm = if run.norm.is_empty() { "?" } else { &run.norm };
    format!("{norm}{}", if run.double_forward { " + DF" } else { "" })
}

/// A setting in a label: a normalizer's parameter without the normalizer's name, which stands before it anyway, unless
/// the run has a setting of that name, too.
fn said(key: &str, value: &str) -> String {
    let short = key.rsplit('.').next().unwrap_or(key);
    let clash = short != key && key != settings::ROWS_LR && crate::config::is_known(short);
    format!("{}={value}", if clash { key } else { short })
}
