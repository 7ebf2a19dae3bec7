//! What a normalizer computes after its affine map of each channel, if anything.

use candle_core::{Result, Tensor};

use super::Pass;

/// The rest of a layer, after y = slope (x - mean) + shift, in differentiable tensor operations on any device. The fused CPU
/// passes convert to tensors for it, and back.
pub struct AfterMap {
    /// Its parameters, attached to the graph; none of them is in [`super::Norm::parameters`].
    pub parameters: Vec<Tensor>,
    /// Given the map's result, (N,C,H,W) or (N,C), and the parameters: the layer's result, of the same shape.
    pub map: fn(&Tensor, &[Tensor]) -> Result<Tensor>,
}

impl AfterMap {
    /// The layer's result; the parameters are detached unless the pass is differentiated.
    pub fn apply(&self, y: &Tensor, pass: Pass) -> Result<Tensor> {
        match pass.is_differentiated() {
            true => (self.map)(y, &self.parameters),
            false => (self.map)(y, &self.parameters.iter().map(Tensor::detach).collect::<Vec<_>>()),
        }
    }
}
