//! Conditions on runs: the tables of `[[exclude]]` and of an override's `when`.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::tables::{flat_keys, nested, table_of, value_of};
use crate::config::{Layers, Places};
use crate::lookup::closest;
use crate::norm;
use crate::text::one_line;
use crate::{Error, Result};

/// Matches a run if each of its keys has one of the values given for it.
pub(super) struct Condition {
    pub(super) place: String,
    labels: Option<Vec<String>>,
    settings: Vec<(String, Vec<Value>)>,
}

impl Condition {
    /// Reads `key = value` and `key = [value, ...]`, where `label` is a key, too.
    pub(super) fn read(table: Table, places: &Places, path: &str) -> Result<Self> {
        let place = places.line(path);
        let mut table = nested(table);
        let labels = match table.remove("label") {
            None => None,
            Some(value) => {
                let text = |value: &Value| value.as_str().map(one_line);
                let wrong =
                    || Error::config(format!("{}: `label`: expected a name", places.line(&format!("{path}.label"))));
                Some(one_or_more(&value).iter().map(text).collect::<Option<Vec<_>>>().ok_or_else(wrong)?)
            }
        };
        let setting = |key: String| {
            let here = places.line(&format!("{path}.{key}"));
            if key == "seed" {
                let why = "`seed`: a condition holds for every seed of the sweep; leave it out";
                return Err(Error::config(format!("{here}: {why}")));
            }
            let values = value_of(&table, &key).map(one_or_more).unwrap_or_default();
            let values = values.iter().map(|value| comparable(&key, value, &here)).collect::<Result<Vec<_>>>()?;
            Ok((key, values))
        };
        let settings = flat_keys(&table).into_iter().map(setting).collect::<Result<Vec<_>>>()?;
        if labels.is_none() && settings.is_empty() {
            return Err(Error::config(format!(
                "{place}: an empty condition would match every run of the sweep; give a label or a setting"
            )));
        }
        Ok(Self { place, labels, settings })
    }

    /// Whether the run with this label and these settings ([`crate::config::Config`]'s, flat) matches.
    pub(super) fn holds(&self, label: &str, settings: &BTreeMap<String, Value>) -> bool {
        let labelled = self.labels.as_ref().is_none_or(|labels| labels.iter().any(|wanted| wanted == label));
        let has = |(key, values): &(String, Vec<Value>)| settings.get(key).is_some_and(|value| values.contains(value));
        labelled && self.settings.iter().all(has)
    }

    /// Why none of `runs` (label and settings) matches: the first part of the condition that none of them meets.
    pub(super) fn why_not<'a>(&self, runs: impl Iterator<Item = (&'a str, BTreeMap<String, Value>)>) -> String {
        let (mut labels, mut values) = (BTreeSet::new(), BTreeMap::<_, BTreeSet<_>>::new());
        for (label, settings) in runs {
            labels.insert(label);
            for (key, value) in settings.into_iter().filter(|(key, _)| self.settings.iter().any(|(own, _)| own == key))
            {
                values.entry(key).or_default().insert(value.to_string());
            }
        }
        let labels: Vec<&str> = labels.into_iter().collect();
        if let Some(wanted) = self.labels.iter().flatten().next().filter(|_| !self.meets(&labels)) {
            return format!(
                "no run has the label `{wanted}`{}; labels: {}",
                closest(wanted, &labels),
                labels.join(", ")
            );
        }
        for (key, wanted) in &self.settings {
            let Some(found) = values.get(key) else { return format!("no run has a setting `{key}`") };
            if !wanted.iter().any(|value| found.contains(&value.to_string())) {
                return format!(
                    "no run has that `{key}`; values: {}",
                    found.iter().cloned().collect::<Vec<_>>().join(", ")
                );
            }
        }
        "each of its keys matches some runs, but no run matches all of them".into()
    }

    fn meets(&self, labels: &[&str]) -> bool {
        self.labels.iter().flatten().any(|wanted| labels.contains(&wanted.as_str()))
    }
}

fn one_or_more(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.clone(),
        value => vec![value.clone()],
    }
}

/// The value as a resolved configuration would have it (`1` as `1.0`, say), its key known and its type right.
fn comparable(key: &str, value: &Value, place: &str) -> Result<Value> {
    let table = table_of(key, value);
    let config = Layers::new().table(table.clone(), |_| place.to_string()).build()?;
    let found = match key.split_once('.') {
        Some((section, param)) => {
            let params = table.get(section).and_then(Value::as_table).cloned().unwrap_or_default();
            norm::find(section)?.resolve(&params)?.remove(param)
        }
        None => config.to_table()?.remove(key),
    };
    Ok(found.unwrap_or_else(|| value.clone()))
}
