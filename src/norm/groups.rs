//! What normalizers by groups of images and channels share: how large groups are, and y = gamma x̂ + beta with its gradient.

use candle_core::{Result, Shape, bail};

use super::{Affine, Coefficients, Gradient, Moments, NormError};
use crate::ops::{self, ChannelMap, Groups};

/// Default number of groups.
pub(super) const GROUPS: usize = 8;

/// Refuses no groups at all, and both of the two ways to say how large they are.
pub(super) fn check_groups(groups: usize, group_size: usize) -> std::result::Result<(), String> {
    match (groups, group_size) {
        (0, 0) => Err("groups = 0: expected at least 1".into()),
        (0 | GROUPS, _) | (_, 0) => Ok(()),
        _ => Err(format!("groups = {groups} and group_size = {group_size} exclude each other: give one of them")),
    }
}

/// Channels per group: `group_size`, or, where that is 0, those of the largest number of groups that is not above `groups`
/// and divides `features`.
pub(super) fn channels_of_group(features: usize, groups: usize, group_size: usize, layer: &str) -> Result<usize> {
    if group_size > 0 && !features.is_multiple_of(group_size) {
        bail!("{layer}: {features} channels do not divide into groups of group_size = {group_size}");
    }
    let largest = || (1..=groups.min(features)).rev().find(|count| features.is_multiple_of(*count)).unwrap_or(1);
    Ok(if group_size > 0 { group_size } else { features / largest() })
}

/// Refuses groups of a single value.
pub(super) fn refuse_one_value(affine: &Affine, groups: &Groups, input: &Shape) -> Result<()> {
    let pixels: usize = input.dims()[2..].iter().product();
    if groups.smallest() * pixels > 1 {
        return Ok(());
    }
    Err(NormError::OneValuePerGroup { layer: affine.layer().into(), shape: input.clone() }.into())
}

/// gamma (x - mu)/sqrt(v + eps) + beta with mu and v of each group, and the gradient through them, for an input of that
/// shape with moments `own` per image and channel.
///
/// # Errors
/// A group of a single value.
pub(super) fn normalized(affine: &Affine, own: &Moments, groups: Groups, input: &Shape) -> Result<Coefficients> {
    refuse_one_value(affine, &groups, input)?;
    let pixels = input.elem_count() / own.mean.elem_count();
    let Moments { mean, var } = ops::group_moments(own, &groups)?;
    let scale = affine.scale(&var)?;
    let slope = scale.broadcast_mul(&affine.gamma())?;
    let map = ChannelMap { mean: mean.clone(), slope: slope.clone(), shift: affine.beta() };
    Ok(Coefficients::new(map, move |sums| {
        let (b, d) = ops::group_projection(&groups, sums, &slope, &scale, pixels)?;
        let parameters = vec![ops::sum_images(&(&sums.gx * &scale)?)?, ops::sum_images(&sums.g)?];
        Ok(Gradient { b, center: mean.clone(), d, parameters })
    }))
}
