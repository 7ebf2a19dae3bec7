//! Which pictures are trained on, and in which order.

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
        return Err(Error::config(format!(
            "val_fraction = {val_fraction} leaves none of {count} pictures to train on"
        )));
    }
    let mut indices: Vec<u32> = (0..count as u32).collect();
    stream(seed, "split").shuffle(&mut indices);
    let mut val = indices.split_off(count - held_out);
    indices.sort_unstable();
    val.sort_unstable();
    Ok((indices, val))
}

/// The order of `indices` in an epoch: a shuffle by stream `order/<epoch>` of the seed, whatever came before.
pub fn epoch_order(indices: &[u32], seed: u64, epoch: usize) -> Vec<u32> {
    let mut order = indices.to_vec();
    stream(seed, &format!("order/{epoch}")).shuffle(&mut order);
    order
}
