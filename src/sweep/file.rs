//! The sweep file, parsed: tables of settings, with the place of each.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::condition::Condition;
use super::document::{Document, Override};
use super::tables::{flat_keys, nested, table_of, value_of};
use crate::config::{Layers, Places};
use crate::text::one_line;
use crate::{Error, Result};

/// More runs than this are taken for a typing error.
pub(super) const MOST_RUNS: usize = 1 << 20;

/// Settings with a name: a `[[variant]]` or an `[[include]]`.
pub(super) struct LabelledSettings {
    pub(super) label: Option<String>,
    pub(super) layers: Layers,
    /// Its keys, `mbn.size` for a parameter.
    pub(super) keys: Vec<String>,
    pub(super) place: String,
}

/// One key of the grid, with its values.
pub(super) struct Axis {
    pub(super) key: String,
    pub(super) values: Vec<Layers>,
    /// Whether a value is listed twice.
    pub(super) repeats: bool,
    pub(super) place: String,
}

/// A sweep file, every key of it checked.
pub(super) struct SweepFile {
    pub(super) name: String,
    pub(super) seeds: Vec<u64>,
    pub(super) fixed: Layers,
    pub(super) fixed_keys: Vec<String>,
    pub(super) axes: Vec<Axis>,
    pub(super) variants: Vec<LabelledSettings>,
    pub(super) includes: Vec<LabelledSettings>,
    pub(super) excludes: Vec<Condition>,
    pub(super) overrides: Vec<(Condition, Layers)>,
}

/// Reads the text of the sweep file `name`.
pub(super) fn read(name: &str, text: &str) -> Result<SweepFile> {
    let places = Places::of(name, text);
    let document = Document::read(name, text, &places)?;
    let fixed = nested(document.fixed);
    let named = |kind: &str, tables: Vec<Table>| {
        let each = |(i, table)| LabelledSettings::read(table, &places, &format!("{kind}.{i}"));
        tables.into_iter().enumerate().map(each).collect::<Result<Vec<_>>>()
    };
    let excluded = |(i, table)| Condition::read(table, &places, &format!("exclude.{i}"));
    let overridden = |(i, Override { when, set })| {
        let path = format!("override.{i}");
        let set = settings(set, |key| places.line(&format!("{path}.set.{key}")))?;
        Ok((Condition::read(when, &places, &format!("{path}.when"))?, set))
    };
    Ok(SweepFile {
        name: name.to_string(),
        seeds: seeds(document.seeds, &places)?,
        fixed_keys: flat_keys(&fixed),
        fixed: settings(fixed, |key| places.line(&format!("fixed.{key}")))?,
        axes: axes(document.grid, &places)?,
        variants: named("variant", document.variants)?,
        includes: named("include", document.includes)?,
        excludes: document.excludes.into_iter().enumerate().map(excluded).collect::<Result<_>>()?,
        overrides: document.overrides.into_iter().enumerate().map(overridden).collect::<Result<_>>()?,
    })
}

/// `seeds = 5` is 1 to 5, `seeds = [3, 7]` just these; without the line, 1.
fn seeds(value: Option<Value>, places: &Places) -> Result<Vec<u64>> {
    let wrong = || {
        let what = "`seeds`: expected a number of seeds, 1 or more, or a list of different seeds, such as [1, 2, 3]";
        Error::config(format!("{}: {what}", places.line("seeds")))
    };
    let seed = |value: &Value| value.as_integer().and_then(|seed| u64::try_from(seed).ok()).ok_or_else(wrong);
    let found = match &value {
        None => vec![1],
        Some(Value::Array(list)) => list.iter().map(seed).collect::<Result<Vec<_>>>()?,
        Some(count) => (1..=seed(count).ok().filter(|count| *count <= MOST_RUNS as u64).ok_or_else(wrong)?).collect(),
    };
    if found.is_empty() || found.iter().collect::<BTreeSet<_>>().len() < found.len() {
        return Err(wrong());
    }
    Ok(found)
}

/// The settings of a table, each known and of its type; `origin` gives the place of each.
fn settings(table: Table, origin: impl Fn(&str) -> String) -> Result<Layers> {
    let misplaced = [
        ("seed", "write seeds = 5, or seeds = [1, 2, 3], at the top"),
        ("seeds", "it stands at the top of the file, before the first [table]"),
        ("label", "a label is given in a [[variant]] or an [[include]]"),
    ];
    for (key, advice) in misplaced {
        if table.contains_key(key) {
            return Err(Error::config(format!("{}: `{key}`: {advice}", origin(key))));
        }
    }
    let layers = Layers::new().table(nested(table), origin);
    layers.build()?;
    Ok(layers)
}

impl LabelledSettings {
    fn read(mut table: Table, places: &Places, path: &str) -> Result<Self> {
        let label = match table.remove("label") {
            None => None,
            Some(Value::String(label)) if !label.trim().is_empty() => Some(one_line(&label)),
            Some(_) => {
                let place = places.line(&format!("{path}.label"));
                return Err(Error::config(format!("{place}: `label`: expected a name that is not empty, in quotes")));
            }
        };
        let table = nested(table);
        let keys = flat_keys(&table);
        let layers = settings(table, |key| places.line(&format!("{path}.{key}")))?;
        Ok(Self { label, keys, layers, place: places.line(path) })
    }
}

/// The keys of the grid in the order of the file, `[grid.mbn]` or `mbn.size = [...]` for a normalizer's parameters.
fn axes(grid: Table, places: &Places) -> Result<Vec<Axis>> {
    let grid = nested(grid);
    let mut keys = flat_keys(&grid);
    keys.sort_by_key(|key| places.offset(&format!("grid.{key}")));
    let mut known = BTreeSet::new();
    if let Some(twice) = keys.iter().find(|key| !known.insert(*key)) {
        let place = places.line(&format!("grid.{twice}"));
        return Err(Error::config(format!("{place}: `{twice}` is in the grid twice; keep one of the two")));
    }
    keys.into_iter().map(|key| axis(&grid, key, places)).collect()
}

fn axis(grid: &Table, key: String, places: &Places) -> Result<Axis> {
    let path = format!("grid.{key}");
    let place = places.line(&path);
    let Some(Value::Array(list)) = value_of(grid, &key) else {
        return Err(Error::config(format!(
            "{place}: `{key}`: expected a list of values; one value belongs in [fixed]"
        )));
    };
    if list.is_empty() {
        return Err(Error::config(format!("{place}: `{key}`: the list is empty, so the sweep has no runs")));
    }
    let single = |(i, value): (usize, &Value)| {
        let here = places.line(&format!("{path}.{i}"));
        settings(table_of(&key, value), |_| here.clone())
    };
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|whole| whole as f64));
    let same = |one: &Value, other: &Value| match (number(one), number(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    };
    let repeats = list.iter().enumerate().any(|(i, value)| list[..i].iter().any(|before| same(before, value)));
    Ok(Axis { repeats, values: list.iter().enumerate().map(single).collect::<Result<_>>()?, key, place })
}
