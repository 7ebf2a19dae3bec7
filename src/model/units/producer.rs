//! Convolutions and linear layers as producers of a normalizer's input: on tensors, and on the maps of the fused passes.

use std::sync::Arc;

use candle_core::{Result, Tensor, Var};

use super::ConvShape;
use crate::kernel::Float;
use crate::model::fused::conv::{self, Geometry};
use crate::model::fused::{Map, Sizes, Workspace, linear};
use crate::norm::Producer;
use crate::ops;

/// y = W x, or W * x, on tensors.
pub struct TensorMap<'a> {
    /// Input.
    pub x: &'a Tensor,
    /// (out, in, size, size) or (out, in).
    pub weight: Tensor,
    /// (out), where there is one.
    pub bias: Option<Tensor>,
    /// Output.
    pub y: Tensor,
    /// Present for a convolution.
    pub shape: Option<ConvShape>,
}

impl TensorMap<'_> {
    /// The gradient of the mean over images and positions of Σ_c g_c y_c with respect to a weight of `outputs` rows.
    fn weight_gradient(&self, outputs: usize, g: &Tensor) -> Result<Tensor> {
        let mut shape = self.weight.dims().to_vec();
        shape[0] = outputs;
        let weight = Var::zeros(shape, self.weight.dtype(), self.weight.device())?;
        let y = match self.shape {
            Some(ConvShape { stride, padding, .. }) => ops::conv2d(&self.x.detach(), &weight, stride, padding)?,
            None => ops::linear(&self.x.detach(), &weight, None)?,
        };
        let positions = y.elem_count() / outputs;
        let loss = (y.broadcast_mul(g)?.sum_all()? / positions as f64)?;
        let gradient = loss.backward()?.remove(&weight);
        gradient.unwrap_or(weight.zeros_like()?).detach().flatten_from(1)
    }
}

impl Producer for TensorMap<'_> {
    fn weight(&self) -> Result<Tensor> {
        rows(&self.weight, self.bias.as_ref())
    }

    fn patch_mean(&self) -> Result<Tensor> {
        let one = Tensor::ones(vec![1; self.y.rank()], self.y.dtype(), self.y.device())?;
        with_one(self.weight_gradient(1, &one)?.flatten_all()?, self.bias.is_some())
    }

    fn patch_correlation(&self) -> Result<Tensor> {
        let y = self.y.detach();
        let mean = || y.transpose(0, 1)?.flatten_from(1)?.mean_keepdim(1);
        with_column(self.weight_gradient(self.weight.dim(0)?, &y)?, self.bias.is_some().then(mean).transpose()?)
    }
}

/// The same on maps.
pub struct MapProducer<'a, T: Float> {
    /// Present for a convolution, absent for a linear layer.
    pub geometry: Option<&'a Geometry>,
    /// (out, in, size, size) or (out, in).
    pub weight: &'a Tensor,
    /// (out), where there is one.
    pub bias: Option<&'a Tensor>,
    /// Input, with the border a convolution needs.
    pub x: &'a Map<T>,
    /// Output.
    pub z: &'a Map<T>,
}

impl<T: Float> MapProducer<'_, T> {
    /// The weight gradient for the output gradient `g`, divided by the number of images and positions.
    fn weight_gradient(&self, g: &Map<T>) -> Result<Tensor> {
        let mut sums = vec![T::ZERO; self.weight.elem_count() / self.weight.dim(0)? * g.sizes.c];
        match self.geometry {
            Some(geometry) => {
                let geometry = Geometry { z: g.sizes, ..*geometry };
                conv::weight_gradient(&geometry, self.x, g, &mut sums, false);
            }
            None => linear::weight_gradient(g, self.x, &mut sums, false),
        }
        mean_of(sums, g.sizes, self.weight)
    }
}

impl<T: Float> Producer for MapProducer<'_, T> {
    fn weight(&self) -> Result<Tensor> {
        rows(self.weight, self.bias)
    }

    fn patch_mean(&self) -> Result<Tensor> {
        let mean = self.weight_gradient(&ones(self.z.sizes, self.x.workspace()))?;
        with_one(mean.flatten_all()?, self.bias.is_some())
    }

    fn patch_correlation(&self) -> Result<Tensor> {
        let sums = || self.z.channel_sums().into_iter().map(T::from_f64).collect();
        let mean = self.bias.map(|_| mean_of(sums(), self.z.sizes, self.weight)).transpose()?;
        with_column(self.weight_gradient(self.z)?, mean)
    }
}

/// The weight as a matrix, (out, in·kh·kw); a bias is one more column, the weight of a constant input of 1.
fn rows(weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let bias = bias.map(|bias| bias.detach().unsqueeze(1)).transpose()?;
    with_column(weight.detach().flatten_from(1)?, bias)
}

fn with_column(rows: Tensor, column: Option<Tensor>) -> Result<Tensor> {
    column.map_or(Ok(rows.clone()), |column| Tensor::cat(&[&rows, &column], 1))
}

fn with_one(patch: Tensor, biased: bool) -> Result<Tensor> {
    match biased {
        true => Tensor::cat(&[&patch, &Tensor::ones(1, patch.dtype(), patch.device())?], 0),
        false => Ok(patch),
    }
}

/// A map of one channel, all ones.
fn ones<T: Float>(sizes: Sizes, workspace: &Arc<Workspace<T>>) -> Map<T> {
    let mut ones = Map::new(Sizes { c: 1, ..sizes }.bordered([0, 0]), workspace);
    ones.values_mut().fill(T::from_f64(1.0));
    ones
}

/// Sums over the pixels of maps of those sizes, turned into means, (out, in·kh·kw).
fn mean_of<T: Float>(sums: Vec<T>, sizes: Sizes, weight: &Tensor) -> Result<Tensor> {
    let sums = Tensor::from_vec(sums, (sizes.c, ()), weight.device())?;
    sums.affine(1.0 / (sizes.n * sizes.pixels()) as f64, 0.0)
}
