//! A residual block, forward and backward.

use std::sync::Arc;

use candle_core::Result;

use super::conv_norm::Convolved;
use super::map::{Map, Sizes, Workspace};
use super::{pool, Outputs, Passing, Saved};
use crate::kernel::Float;
use crate::model::unit::Block;
use crate::model::Gradients;
use crate::norm::Pass;

impl Block {
    /// Whether the shortcut is the input itself.
    fn is_identity(&self, x: &Sizes) -> bool {
        self.stride == 1 && self.channels == x.c
    }

    pub(super) fn fused<T: Float>(
        &self,
        batches: Vec<Passing<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Outputs<T, Saved<T>>> {
        let passes: Vec<Pass> = batches.iter().map(|batch| batch.pass).collect();
        let mut shortcuts = vec![];
        for Passing { x, .. } in &batches {
            let other = !self.is_identity(&x.sizes);
            shortcuts.push(other.then(|| pool::shortcut(x, self.stride, self.channels, workspace)));
        }
        let inside = [self.conv2.shape.padding; 2];
        let (inner, firsts): (Vec<_>, Vec<_>) = self.conv1.fused(batches, &[], inside, workspace)?.into_iter().unzip();
        let inner = inner.into_iter().zip(passes).map(|(x, pass)| Passing { x, pass }).collect();
        let residuals: Vec<_> =
            shortcuts.iter().zip(&firsts).map(|(s, first)| s.as_ref().unwrap_or(&first.x)).collect();
        let outputs = self.conv2.fused(inner, &residuals, border, workspace)?;
        let saved = outputs.into_iter().zip(firsts).zip(shortcuts);
        Ok(saved.map(|(((y, second), first), shortcut)| (y, Saved::Block(first, second, shortcut))).collect())
    }

    pub(super) fn fused_backward<T: Float>(
        &self,
        first: Convolved<T>,
        second: Convolved<T>,
        shortcut: Option<Map<T>>,
        g: Map<T>,
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        let residual = shortcut.as_ref().unwrap_or(&first.x);
        let (dz, through) = self.conv2.normalized_backward(&second, Some(residual), g, gradients, workspace)?;
        // What was saved makes room for the gradients as soon as it has done its duty.
        let (geometry, is_identity) = (second.geometry, shortcut.is_none());
        drop((second, shortcut));
        let inner = self.conv2.input_gradient(&geometry, &dz, None, workspace)?;
        drop(dz);
        let (dz, _) = self.conv1.normalized_backward(&first, None, inner, gradients, workspace)?;
        let geometry = first.geometry;
        drop(first);
        if is_identity {
            return self.conv1.input_gradient(&geometry, &dz, Some(through), workspace);
        }
        let mut dx = self.conv1.input_gradient(&geometry, &dz, None, workspace)?;
        pool::add_shortcut_gradient(&mut dx, self.stride, &through);
        Ok(dx)
    }
}
