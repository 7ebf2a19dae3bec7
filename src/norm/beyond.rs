//! What a normalizer does behind its linear map of channels, where that map is not all.

use candle_core::{Result, Tensor};

use super::Pass;

/// The rest of a layer, behind y = slope (x - mean) + shift: in differentiable operations on tensors, of any device; the fused
/// passes of the CPU leave their maps for it and come back.
pub struct Beyond {
    /// Its parameters, attached to the graph: others than [`super::Norm::parameters`].
    pub parameters: Vec<Tensor>,
    /// Given the map's result, (N,C,H,W) or (N,C), and the parameters: the layer's result, of the same shape.
    pub map: fn(&Tensor, &[Tensor]) -> Result<Tensor>,
}

impl Beyond {
    /// The layer's result, attached to the parameters only where the pass is differentiated.
    pub fn apply(&self, y: &Tensor, pass: Pass) -> Result<Tensor> {
        match pass.is_differentiated() {
            true => (self.map)(y, &self.parameters),
            false => (self.map)(y, &self.parameters.iter().map(Tensor::detach).collect::<Vec<_>>()),
        }
    }
}
