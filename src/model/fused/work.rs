//! How much work a forward pass is, before it is begun.

use candle_core::{Result, Tensor};

use super::map::Sizes;
use crate::model::unit::{ConvNorm, Unit};

/// Multiplications of pictures' (N,C,H,W) way through the network, up to a unit that they do not fit.
pub fn multiplications(units: &[Unit], pictures: &Tensor) -> usize {
    let [n, c, h, w] = *pictures.dims() else { return 0 };
    let (mut total, mut sizes) = (0, Sizes::new([n, h, w, c]));
    for unit in units {
        let Ok((count, y)) = unit.multiplications(sizes) else { break };
        total += count;
        sizes = y;
    }
    total
}

impl Unit {
    /// The unit's multiplications, and the sizes of what it makes of `x`.
    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        let features = |count| Sizes::new([x.n, 1, 1, count]);
        let linear = |outputs: usize| (x.image() * outputs * x.n, features(outputs));
        Ok(match self {
            Unit::Conv(conv) => conv.multiplications(x)?,
            Unit::Block(block) => {
                let (first, inner) = block.conv1.multiplications(x)?;
                let (second, y) = block.conv2.multiplications(inner)?;
                (first + second, y)
            }
            Unit::GlobalAvgPool => (0, features(x.c)),
            Unit::Flatten => (0, features(x.image())),
            Unit::Linear(unit) => linear(unit.weight.dim(0)?),
            Unit::Last(unit) => linear(unit.weight.dim(0)?),
        })
    }
}

impl ConvNorm {
    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)> {
        let geometry = self.geometry(&x, false)?;
        Ok((geometry.multiplications(), if self.pooled { geometry.z.pooled() } else { geometry.z }))
    }
}
