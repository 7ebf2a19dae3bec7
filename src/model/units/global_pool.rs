//! Mean over height and width, (N,C,H,W) to (N,C).

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::{Fused, Output, Unit, without_parameters};
use crate::kernel::Float;
use crate::model::fused::{Map, PassInput, Sizes, Workspace, pool};
use crate::norm::Call;
use crate::ops;

/// Global average pooling.
#[derive(Debug)]
pub struct GlobalAvgPool;

impl Unit for GlobalAvgPool {
    fn forward(&self, x: &Tensor, _: Call) -> Result<Tensor> {
        ops::global_avg_pool(x)
    }

    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        Ok((0, x.features(x.c)))
    }
}

impl<T: Float> Fused<T> for GlobalAvgPool {
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        _: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>> {
        Ok(without_parameters(batches, workspace, pool::average, pool::average_gradient))
    }
}
