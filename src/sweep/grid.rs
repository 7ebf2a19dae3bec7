//! From the sweep file to the list of runs.

use std::collections::{BTreeSet, HashMap};

use super::Job;
use super::condition::Condition;
use super::effect::unused;
use super::file::{Axis, LabelledSettings, MOST_RUNS, SweepFile};
use crate::config::{Config, Layers};
use crate::{Error, Result};

/// A run without its seed.
pub(super) struct GridPoint {
    pub(super) label: String,
    pub(super) layers: Layers,
    /// The merged settings: without overrides, for conditions to match; later with them, resolved.
    pub(super) config: Config,
}

/// The runs, and notes on the settings of the file. The runs are ordered seed by seed; within a seed in the order of the
/// grid, whose last key varies fastest, variants faster still.
pub(super) fn expand(file: &SweepFile) -> Result<(Vec<Job>, Vec<String>)> {
    check_clashes(file)?;
    let mut points = exclude(file, grid(file)?)?;
    let included = file.includes.iter().map(|named| GridPoint::new(file, &file.fixed, Some(named)));
    points.extend(included.collect::<Result<Vec<_>>>()?);
    let resolved = apply_overrides(file, points)?;
    check_labels(file, &resolved)?;
    let mut jobs = vec![];
    let mut known = HashMap::new();
    for &seed in &file.seeds {
        for GridPoint { label, config, .. } in &resolved {
            let config = Config { seed, ..config.clone() };
            let job = Job { label: label.clone(), name: config.run_name()?, config };
            match known.insert(job.name.clone(), job.label.clone()) {
                None => jobs.push(job),
                // Settings without effect, such as a parameter of another normalizer, do not make another run.
                Some(same) if same == job.label => {}
                Some(other) => return Err(two_labels(file, &job, &other)),
            }
        }
    }
    if jobs.is_empty() {
        return Err(Error::config(format!("{}: every run is excluded", file.name)));
    }
    let mut notes = unused(resolved.iter().map(|point| (&point.layers, &point.config)))?;
    let twice = file.axes.iter().filter(|axis| axis.repeats);
    notes.extend(twice.map(|Axis { key, place, .. }| {
        format!("{place}: `{key}`: a value is listed twice; its runs are the same and are trained once")
    }));
    Ok((jobs, notes))
}

/// Refuses keys that are given twice, of which one would be ignored, and labels that are, whose results would be mixed.
fn check_clashes(file: &SweepFile) -> Result<()> {
    for Axis { key, place, .. } in &file.axes {
        let elsewhere = file.variants.iter().find(|variant| variant.keys.contains(key));
        let other = match elsewhere {
            Some(variant) => format!("in a variant ({})", variant.place),
            None if file.fixed_keys.contains(key) => "in [fixed]".into(),
            None => continue,
        };
        return Err(Error::config(format!("{place}: `{key}` is in the grid and {other}; keep one of the two")));
    }
    let mut labels = BTreeSet::new();
    for variant in &file.variants {
        let label = GridPoint::new(file, &file.fixed, Some(variant))?.label;
        if !labels.insert(label.clone()) {
            let (place, a) = (&variant.place, if variant.label.is_some() { "another" } else { "a" });
            let why = format!("there is another variant `{label}`; give this one {a} label");
            return Err(Error::config(format!("{place}: {why}")));
        }
    }
    Ok(())
}

/// Every combination of the grid's values and the variants.
fn grid(file: &SweepFile) -> Result<Vec<GridPoint>> {
    if file.axes.is_empty() && file.variants.is_empty() && !file.includes.is_empty() {
        return Ok(vec![]);
    }
    let sizes = file.axes.iter().map(|axis| axis.values.len()).chain([file.variants.len().max(1), file.seeds.len()]);
    let count = sizes.fold(1usize, usize::saturating_mul);
    if count > MOST_RUNS {
        return Err(Error::config(format!(
            "{}: the grid has {count} runs; at most {MOST_RUNS} are allowed",
            file.name
        )));
    }
    let mut combinations = vec![file.fixed.clone()];
    for axis in &file.axes {
        let with = |layers: &Layers| axis.values.iter().map(|value| layers.clone().and(value)).collect::<Vec<_>>();
        combinations = combinations.iter().flat_map(with).collect();
    }
    let variants: Vec<_> = if file.variants.is_empty() { vec![None] } else { file.variants.iter().map(Some).collect() };
    let points =
        combinations.iter().flat_map(|layers| variants.iter().map(|variant| GridPoint::new(file, layers, *variant)));
    points.collect()
}

impl GridPoint {
    fn new(file: &SweepFile, layers: &Layers, named: Option<&LabelledSettings>) -> Result<Self> {
        let layers = named.map_or(layers.clone(), |named| layers.clone().and(&named.layers));
        let place = named.map_or(&file.name, |named| &named.place);
        let config = layers.build()?.complete().map_err(|error| {
            let place = layers.place_of(&error).unwrap_or(place);
            Error::config(format!("{place}: {error}"))
        })?;
        let default = || format!("{}{}", config.norm, if config.double_forward { "-df" } else { "" });
        let label = named.and_then(|named| named.label.clone()).unwrap_or_else(default);
        Ok(Self { label, layers, config })
    }
}

fn exclude(file: &SweepFile, points: Vec<GridPoint>) -> Result<Vec<GridPoint>> {
    let mut used = vec![false; file.excludes.len()];
    let mut keep = vec![true; points.len()];
    for (point, keep) in points.iter().zip(&mut keep) {
        let flat = point.config.flat()?;
        for (condition, used) in file.excludes.iter().zip(&mut used) {
            if condition.holds(&point.label, &flat) {
                (*keep, *used) = (false, true);
            }
        }
    }
    if let Some((condition, _)) = file.excludes.iter().zip(used).find(|(_, used)| !used) {
        return Err(matches_nothing(condition, "[[exclude]]", &points));
    }
    Ok(points.into_iter().zip(keep).filter_map(|(point, keep)| keep.then_some(point)).collect())
}

/// The runs with their overrides, resolved.
fn apply_overrides(file: &SweepFile, points: Vec<GridPoint>) -> Result<Vec<GridPoint>> {
    let mut used = vec![false; file.overrides.len()];
    let mut resolved = vec![];
    for GridPoint { label, layers, config } in &points {
        let mut layers = layers.clone();
        let flat = config.flat()?;
        for ((condition, set), used) in file.overrides.iter().zip(&mut used) {
            if condition.holds(label, &flat) {
                (layers, *used) = (layers.and(set), true);
            }
        }
        let (batch, micro) = (config.batch_size, config.norm_batch_size);
        let config = layers.build()?.resolve().map_err(|error| {
            if let Some(place) = layers.place_of(&error) {
                return Error::config(format!("{place}: {error}"));
            }
            let run = format!("the run {label}, batch_size {batch}, norm_batch_size {micro}");
            Error::config(format!("{}: {run}: {error}\nhint: leave such runs out with [[exclude]]", file.name))
        })?;
        resolved.push(GridPoint { label: label.clone(), layers, config });
    }
    match file.overrides.iter().zip(used).find(|(_, used)| !used) {
        Some(((condition, _), _)) => Err(matches_nothing(condition, "[[override]]", &points)),
        None => Ok(resolved),
    }
}

fn matches_nothing(condition: &Condition, what: &str, points: &[GridPoint]) -> Error {
    let runs = points.iter().filter_map(|point| Some((point.label.as_str(), point.config.flat().ok()?)));
    let (place, why) = (&condition.place, condition.why_not(runs));
    Error::config(format!("{place}: this {what} matches no run of the sweep: {why}"))
}

/// Results are averaged by label, so a label must stand for one method.
fn check_labels(file: &SweepFile, runs: &[GridPoint]) -> Result<()> {
    let mut methods = HashMap::new();
    for GridPoint { label, config, .. } in runs {
        let method = (config.norm.as_str(), config.double_forward);
        let first = *methods.entry(label).or_insert(method);
        if first != method {
            let show =
                |(norm, twice): (&str, bool)| format!("{norm}{}", if twice { " with Double-Forward" } else { "" });
            let (name, first, second) = (&file.name, show(first), show(method));
            let why =
                format!("means {first} and {second}, whose results would be mixed; give one of them another label");
            return Err(Error::config(format!("{name}: the label `{label}` {why}")));
        }
    }
    Ok(())
}

fn two_labels(file: &SweepFile, job: &Job, other: &str) -> Error {
    let Job { label, name, .. } = job;
    let why = "the same settings have two labels, so the same run would count twice";
    Error::config(format!("{}: `{other}` and `{label}`: {why} ({name})", file.name))
}
