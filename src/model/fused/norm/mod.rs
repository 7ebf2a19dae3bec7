//! Normalization of maps with what follows it, by the normalizer's coefficients, per channel or per image and channel.

mod after_map;
mod moments;
mod passes;
mod pooled;

use candle_core::{Device, Result, Shape, Tensor};

use super::{Map, Sizes};
use crate::kernel::norm::Coefficients as Slices;
use crate::kernel::{Float, with_values};
use crate::model::Gradients;
use crate::norm::{Call, Coefficients, Granularity, Input, Norm, Producer, remembered};
use crate::ops::Sums;

use after_map::{Detour, identity};

pub use moments::{PieceMoments, observe, observe_all};

/// A coefficient of every channel, or of every channel of every image.
struct Coefficient<T> {
    values: Vec<T>,
    channels: usize,
}

impl<T: Float> Coefficient<T> {
    fn new(tensor: &Tensor, channels: usize) -> Result<Self> {
        let values = with_values(&tensor.contiguous()?, |values: &[T]| values.to_vec())?;
        Ok(Self { values, channels })
    }

    /// The coefficients of image `n`.
    fn of(&self, n: usize) -> &[T] {
        match self.values.len() == self.channels {
            true => &self.values,
            false => &self.values[n * self.channels..][..self.channels],
        }
    }
}

/// A normalizer's coefficients for a map.
pub struct MapCoefficients<T: Float> {
    mean: Coefficient<T>,
    slope: Coefficient<T>,
    shift: Coefficient<T>,
    /// The ReLU's threshold, if not 0: subtracted from `shift`, and added again after the ReLU.
    threshold: Option<Vec<T>>,
    /// Whether there is a ReLU at all.
    rectify: bool,
    coefficients: Coefficients,
    per: Granularity,
    /// What the normalizer computes after its map; residual and ReLU follow that.
    detour: Option<Box<Detour<T>>>,
}

/// The coefficients for a map with those moments, which the normalizer remembers as the pass requires.
///
/// `shape` is the input's as the normalizer knows it, (N,C,H,W) or (N,C); a ReLU follows if `rectify`.
pub fn map_coefficients<T: Float>(
    norm: &dyn Norm,
    seen: &PieceMoments,
    shape: &Shape,
    call: Call,
    producer: Option<&dyn Producer>,
    rectify: bool,
) -> Result<MapCoefficients<T>> {
    norm.affine().count(shape)?;
    let per = remembered::granularity(norm, call.pass);
    let moments = remembered::observes(norm, call.pass).then(|| seen.tensors::<T>(per)).transpose()?;
    let coefficients = remembered::coefficients(norm, Input { call, shape, moments, producer })?;
    let (threshold, channels) = (norm.threshold(), seen.sizes.c);
    let Some(after_map) = norm.after_map() else {
        return MapCoefficients::new(coefficients, per, channels, rectify, threshold);
    };
    let after = MapCoefficients::new(identity::<T>(&seen.sizes)?, Granularity::Channel, channels, rectify, threshold)?;
    let detour = Some(Box::new(Detour::new(after_map, call, shape, after)));
    Ok(MapCoefficients { detour, ..MapCoefficients::new(coefficients, per, channels, false, None)? })
}

impl<T: Float> MapCoefficients<T> {
    fn new(
        coefficients: Coefficients,
        per: Granularity,
        channels: usize,
        rectify: bool,
        threshold: Option<&Tensor>,
    ) -> Result<Self> {
        let map = &coefficients.map;
        let shift = match threshold {
            Some(threshold) => map.shift.broadcast_sub(&threshold.detach())?,
            None => map.shift.clone(),
        };
        let [mean, slope, shift] = [&map.mean, &map.slope, &shift].map(|t| Coefficient::new(t, channels));
        let threshold = threshold.map(|threshold| Coefficient::new(threshold, channels)).transpose()?;
        let threshold = threshold.map(|coefficient| coefficient.values);
        let (mean, slope, shift) = (mean?, slope?, shift?);
        Ok(Self { mean, slope, shift, threshold, rectify, coefficients, per, detour: None })
    }

    /// The coefficients for image `n`.
    fn slices(&self, n: usize) -> Slices<'_, T> {
        Slices { mean: self.mean.of(n), slope: self.slope.of(n), shift: self.shift.of(n) }
    }

    /// Adds the threshold's gradient, that of values the ReLU stopped: Σ g over all of them less Σ g over those it passed.
    fn add_threshold(
        &self,
        norm: &dyn Norm,
        came: Option<Vec<f64>>,
        sums: &PieceMoments,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let (Some(threshold), Some(mut left)) = (norm.threshold(), came) else { return Ok(()) };
        for piece in sums.sums.chunks_exact(2 * left.len()) {
            left.iter_mut().zip(piece).for_each(|(left, passed)| *left -= passed);
        }
        gradients.add(threshold, tensor::<T>(&left, &sums.sizes, Granularity::Channel)?)
    }

    /// Σ g per channel of the arriving gradient, where the threshold needs it.
    fn came(&self, g: &Map<T>) -> Option<Vec<f64>> {
        self.threshold.as_ref().map(|_| g.channel_sums())
    }

    /// The second pass's coefficients, from each piece's Σ g and Σ g (z - mean); adds the parameters' gradients.
    fn gradient_coefficients(
        &self,
        norm: &dyn Norm,
        sums: &PieceMoments,
        gradients: &mut Gradients,
    ) -> Result<GradientCoefficients<T>> {
        let gradient = self.coefficients.gradient(&sums.totals::<T>(self.per)?)?;
        for (parameter, gradient) in norm.parameters().iter().zip(gradient.parameters) {
            gradients.add(parameter, gradient)?;
        }
        let [b, center, d] = [&gradient.b, &gradient.center, &gradient.d].map(|t| Coefficient::new(t, sums.sizes.c));
        Ok(GradientCoefficients { b: b?, center: center?, d: d? })
    }
}

/// dz = slope g + b (z - center) + d.
struct GradientCoefficients<T> {
    b: Coefficient<T>,
    center: Coefficient<T>,
    d: Coefficient<T>,
}

/// A tensor of the values, (C) or (N,C).
fn tensor<T: Float>(values: &[f64], sizes: &Sizes, per: Granularity) -> Result<Tensor> {
    let values: Vec<T> = values.iter().map(|&v| T::from_f64(v)).collect();
    match per {
        Granularity::Channel => Tensor::from_vec(values, sizes.c, &Device::Cpu),
        Granularity::Image => Tensor::from_vec(values, (sizes.n, sizes.c), &Device::Cpu),
    }
}

impl PieceMoments {
    /// The backward pass's sums over all pieces.
    fn totals<T: Float>(&self, per: Granularity) -> Result<Sums> {
        let channels = self.sizes.c;
        let images = if per == Granularity::Image { self.sizes.n } else { 1 };
        let (mut g, mut gx) = (vec![0.0; images * channels], vec![0.0; images * channels]);
        let together = self.sums.len() / (2 * channels) / images;
        for (piece, sums) in self.sums.chunks_exact(2 * channels).enumerate() {
            let image = piece / together * channels;
            let (total, along) = sums.split_at(channels);
            g[image..][..channels].iter_mut().zip(total).for_each(|(sum, v)| *sum += v);
            gx[image..][..channels].iter_mut().zip(along).for_each(|(sum, v)| *sum += v);
        }
        Ok(Sums { g: tensor::<T>(&g, &self.sizes, per)?, gx: tensor::<T>(&gx, &self.sizes, per)? })
    }
}
