//! (N,C,H,W) to (N,C·H·W), channels outermost as the next layer's weights expect.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::{Fused, Output, Unit, without_parameters};
use crate::kernel::Float;
use crate::model::fused::{Map, PassInput, Sizes, Workspace, pool};
use crate::norm::Call;

/// Images as rows of features.
#[derive(Debug)]
pub struct Flatten;

impl Unit for Flatten {
    fn forward(&self, x: &Tensor, _: Call) -> Result<Tensor> {
        x.flatten_from(1)
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        Ok((0, x.features(x.image())))
    }
}

impl<T: Float> Fused<T> for Flatten {
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        _: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        Ok(without_parameters(batches, workspace, pool::flatten, pool::flatten_gradient))
    }
}
