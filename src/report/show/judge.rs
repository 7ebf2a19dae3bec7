//! Differences on the same seeds, and which method is best, where the intervals decide it.

use std::collections::BTreeMap;

use super::document::{MethodScore, Pair};
use super::metric::Metric;
use crate::stats::{ENOUGH, Sample, welch};

/// Every method's difference from `baseline` at the same batch size; none where they share no seed.
pub(super) fn pairs(cells: &[MethodScore], baseline: &str) -> Vec<Pair> {
    let others = cells.iter().filter(|cell| cell.label != baseline);
    let pair = |cell: &MethodScore| {
        let base = cells.iter().find(|other| other.label == baseline && other.x == cell.x)?;
        Some(Pair { x: cell.x, label: cell.label.clone(), difference: paired(cell, base)? })
    };
    others.filter_map(pair).collect()
}

/// `a` minus `b` over the seeds that both have.
fn paired(a: &MethodScore, b: &MethodScore) -> Option<Sample> {
    let (a, b) = (by_seed(a), by_seed(b));
    let differences: Vec<f64> = a.iter().filter_map(|(seed, value)| Some(value - b.get(seed)?)).collect();
    Sample::of(&differences)
}

/// The value of each seed; the mean where a seed occurs twice.
fn by_seed(cell: &MethodScore) -> BTreeMap<u64, f64> {
    let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for (seed, value) in &cell.values {
        if let Some(seed) = seed {
            let sum = sums.entry(*seed).or_default();
            *sum = (sum.0 + value, sum.1 + 1.0);
        }
    }
    sums.into_iter().map(|(seed, (sum, count))| (seed, sum / count)).collect()
}

/// Marks the best cell of each batch size, if the interval of its difference from every other excludes 0. A method with
/// failed runs, or with diverged runs that do not count at chance level, is never marked: its mean covers only survivors.
pub(super) fn mark_best(cells: &mut [MethodScore], metric: Metric, losses_count: bool) {
    let Some(higher) = metric.higher_is_better() else { return };
    for same_x in cells.chunk_by_mut(|a, b| a.x == b.x) {
        let mean = |cell: &MethodScore| cell.sample.map(|sample| if higher { sample.mean } else { -sample.mean });
        let best = (0..same_x.len())
            .filter(|i| mean(&same_x[*i]).is_some())
            .max_by(|i, j| mean(&same_x[*i]).unwrap_or(0.0).total_cmp(&mean(&same_x[*j]).unwrap_or(0.0)));
        let Some(best) = best else { continue };
        let cell = &same_x[best];
        let few = cell.values.len() < ENOUGH;
        let lost = cell.failed > 0 || (cell.diverged > 0 && !losses_count);
        let mut rivals = same_x.iter().enumerate().filter(|(i, other)| *i != best && other.sample.is_some()).peekable();
        let wins = rivals.peek().is_some() && rivals.all(|(_, other)| excludes_0(cell, other) == Some(higher));
        same_x[best].best = wins && !lost && !few;
    }
}

/// The sign of `a` minus `b` where its interval excludes 0: on the seeds both have, if these are enough, else as
/// independent samples.
fn excludes_0(a: &MethodScore, b: &MethodScore) -> Option<bool> {
    let values = |cell: &MethodScore| cell.values.iter().map(|(_, value)| *value).collect::<Vec<_>>();
    let difference = paired(a, b).filter(|difference| difference.n >= ENOUGH).or_else(|| welch(&values(a), &values(b)));
    difference?.sign()
}
