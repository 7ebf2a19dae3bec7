//! Which images are trained on and evaluated, and in which order.

use crate::rng::stream;
use crate::{Error, Result};

/// Splits 0..count at random into training and validation indices, both sorted; stream `split` of the seed.
///
/// # Errors
/// A fraction outside [0, 1), or one that leaves nothing to train on.
pub fn split(count: usize, val_fraction: f64, seed: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    if !(0.0..1.0).contains(&val_fraction) {
        return Err(Error::config(format!("val_fraction = {val_fraction} is not in [0, 1)")));
    }
    let held_out = (count as f64 * val_fraction).round() as usize;
    if held_out >= count {
        return Err(Error::config(format!("val_fraction = {val_fraction} leaves none of {count} images to train on")));
    }
    let mut indices: Vec<u32> = (0..count as u32).collect();
    stream(seed, "split").shuffle(&mut indices);
    let mut val = indices.split_off(count - held_out);
    indices.sort_unstable();
    val.sort_unstable();
    Ok((indices, val))
}

/// The order of `indices` in an epoch: a shuffle by stream `order/<epoch>` of the seed, independent of other epochs.
pub fn epoch_order(indices: &[u32], seed: u64, epoch: usize) -> Vec<u32> {
    let mut order = indices.to_vec();
    stream(seed, &format!("order/{epoch}")).shuffle(&mut order);
    order
}

/// The seed of draws that are the same for every run, so that runs with different seeds are scored on the same images.
const FIXED: u64 = 0;

/// At most `count` (0: all) of `indices`, sorted: drawn at random in proportion to the classes, the same for every
/// run. `labels` are those of all images.
pub fn subset(indices: &[u32], labels: &[u8], count: usize) -> Vec<u32> {
    if count == 0 || count >= indices.len() {
        return indices.to_vec();
    }
    let label = |index: &u32| labels.get(*index as usize).map_or(0, |label| usize::from(*label));
    let (mut totals, mut seen) = ([0usize; 256], [0usize; 256]);
    indices.iter().for_each(|index| totals[label(index)] += 1);
    let mut drawn = indices.to_vec();
    stream(FIXED, "subset").shuffle(&mut drawn);
    // The k-th of a class's n comes at (k + 1/2) / n, so that every beginning has the classes in proportion.
    let mut place = |index: &u32| {
        let class = label(index);
        seen[class] += 1;
        (seen[class] as f64 - 0.5) / totals[class] as f64
    };
    let places: Vec<f64> = drawn.iter().map(&mut place).collect();
    let mut order: Vec<usize> = (0..drawn.len()).collect();
    order.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
    let mut chosen: Vec<u32> = order[..count].iter().map(|place| drawn[*place]).collect();
    chosen.sort_unstable();
    chosen
}

/// The order in which `indices` are evaluated: a shuffle, the same for every run, since statistics of batches in the
/// order of a file would depend on how it is sorted.
pub fn evaluation_order(indices: &[u32]) -> Vec<u32> {
    let mut order = indices.to_vec();
    stream(FIXED, "evaluation").shuffle(&mut order);
    order
}
