//! The run that a row belongs to, from its identifying cells.

use super::cells::{truth, whole};
use super::run::Run;
use crate::text::one_line;

/// The columns of `metrics.csv`, and `label`, which users may add. The first [`IDENTITY`] identify the run.
pub(super) const COLUMNS: [&str; 18] = [
    "label",
    "run",
    "dataset",
    "model",
    "norm",
    "double_forward",
    "batch_size",
    "norm_batch_size",
    "seed",
    "epoch",
    "step",
    "split",
    "stats",
    "loss",
    "accuracy",
    "images_per_s",
    "seconds",
    "lr",
];
pub(super) const IDENTITY: usize = 9;

/// What an accuracy has to be, for messages.
pub(super) const FRACTION: &str = "a fraction between 0 and 1 (for a percentage, add a % sign)";

/// The run that the identifying cells describe, in the order of [`COLUMNS`]. Without a name, it is given one made of them.
///
/// # Errors
/// The column at fault, and what is wrong with it.
pub(super) fn identify(cells: &[String; IDENTITY]) -> Result<Run, (&'static str, String)> {
    let [label, name, dataset, model, norm, passes, batch, micro, seed] = cells;
    let bad = |i: usize, what: &str| {
        (COLUMNS[i], format!("`{}` is `{}`, not {what}; the run's lines are not read", COLUMNS[i], cells[i]))
    };
    let size = |i: usize, cell: &str| match whole(cell) {
        Ok(size) => Ok(size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0)),
        Err(()) => Err(bad(i, "a whole number")),
    };
    let named = !batch.is_empty();
    let (batch, micro) = (size(6, batch)?, size(7, micro)?);
    let Some(batch_size) = batch.or(micro.filter(|_| !named)) else { return Err(bad(6, "a batch size")) };
    if norm.is_empty() && label.is_empty() {
        return Err((COLUMNS[4], "neither `norm` nor `label` names the method; the run's lines are not read".into()));
    }
    let double_forward = truth(passes).map_err(|()| bad(5, "true or false"))?.unwrap_or(false);
    let seed = whole(seed).map_err(|()| bad(8, "a seed"))?;
    let norm_batch_size = micro.unwrap_or(batch_size);
    let made_up = || {
        let (what, df) = (if label.is_empty() { norm } else { label }, if double_forward { "-df" } else { "" });
        let seed = seed.map_or(String::new(), |seed| format!("-s{seed}"));
        let micro = if norm_batch_size == batch_size { String::new() } else { format!("-nb{norm_batch_size}") };
        format!("{dataset}-{model}-{what}{df}-b{batch_size}{micro}{seed}")
    };
    Ok(Run {
        name: one_line(&if name.is_empty() { made_up() } else { name.clone() }),
        is_named: !name.is_empty(),
        label: Some(one_line(label)).filter(|label| !label.is_empty()),
        dataset: one_line(dataset),
        model: one_line(model),
        norm: one_line(norm),
        double_forward,
        batch_size,
        norm_batch_size,
        seed,
        ..Run::default()
    })
}

/// ` (is it ..., misspelled?)` where the header has a similar name for `wanted`, else an empty string.
pub(super) fn near_miss(wanted: &str, header: &[String]) -> String {
    let others: Vec<&str> = header.iter().map(String::as_str).filter(|name| !COLUMNS.contains(name)).collect();
    match crate::lookup::closest(wanted, &others) {
        near if near.is_empty() => near,
        near => near.replace("did you mean", "is it").replace("?)", ", misspelled?)"),
    }
}
