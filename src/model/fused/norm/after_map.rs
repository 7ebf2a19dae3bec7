//! What a normalizer computes after its affine map ([`AfterMap`]): from maps to tensors, through candle's graph, and back to
//! maps, where residual and ReLU follow.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor, Var, bail};

use super::{MapCoefficients, tensor};
use crate::kernel::Float;
use crate::model::Gradients;
use crate::model::fused::{Map, Sizes, Workspace};
use crate::norm::{AfterMap, Call, Coefficients, Gradient, Norm};
use crate::ops::{ChannelMap, Granularity};

/// A layer's detour through candle's graph.
pub(super) struct Detour<T: Float> {
    after_map: AfterMap,
    call: Call,
    /// The input's shape as the normalizer knows it.
    shape: Shape,
    /// What follows: the identity with residual and ReLU.
    after: MapCoefficients<T>,
    made: Option<Made<T>>,
}

/// The forward pass: the tensor that went into the graph, the one that came out, and the latter as a map.
struct Made<T: Float> {
    from: Tensor,
    to: Tensor,
    y: Map<T>,
}

impl<T: Float> Detour<T> {
    pub fn new(after_map: AfterMap, call: Call, shape: &Shape, after: MapCoefficients<T>) -> Self {
        Self { after_map, call, shape: shape.clone(), after, made: None }
    }

    fn make(&mut self, x: &Map<T>) -> Result<()> {
        let values = x.to_tensor(&self.shape)?;
        let from = match self.call.pass.is_differentiated() {
            true => Var::from_tensor(&values)?.into_inner(),
            false => values,
        };
        let to = self.after_map.apply(&from, self.call.pass)?;
        let y = Map::from_tensor(&to, [0, 0], x.workspace())?.reshaped(x.sizes);
        self.made = Some(Made { from, to, y });
        Ok(())
    }

    fn made(&self) -> Result<&Made<T>> {
        match &self.made {
            Some(made) => Ok(made),
            None => bail!("the backward pass of a layer came before its forward pass"),
        }
    }

    /// The gradient with respect to the affine map's result; adds those of the parameters after it.
    fn back(&self, g: &Map<T>, gradients: &mut Gradients) -> Result<Map<T>> {
        let Made { from, to, y } = self.made()?;
        let mut found = (to * g.to_tensor(&self.shape)?)?.sum_all()?.backward()?;
        let mut of = |tensor: &Tensor| found.remove(tensor).map_or_else(|| tensor.zeros_like(), |g| Ok(g.detach()));
        for parameter in &self.after_map.parameters {
            gradients.add(parameter, of(parameter)?)?;
        }
        Ok(Map::from_tensor(&of(from)?, [0, 0], g.workspace())?.reshaped(y.sizes))
    }
}

/// y = x.
pub(super) fn identity<T: Float>(sizes: &Sizes) -> Result<Coefficients> {
    let all = |value: f64| tensor::<T>(&vec![value; sizes.c], sizes, Granularity::Channel);
    let (zero, one) = (all(0.0)?, all(1.0)?);
    let map = ChannelMap { mean: zero.clone(), slope: one, shift: zero.clone() };
    Ok(Coefficients::new(map, move |_| {
        Ok(Gradient { b: zero.clone(), center: zero.clone(), d: zero.clone(), parameters: vec![] })
    }))
}

impl<T: Float> MapCoefficients<T> {
    /// Takes the detour, if there is one; returns its result and the coefficients to apply to it.
    fn detour(&mut self, z: &Map<T>, workspace: &Arc<Workspace<T>>) -> Result<Option<(&Map<T>, &Self)>> {
        let Some(mut detour) = self.detour.take() else { return Ok(None) };
        detour.make(&self.normalize(z, None, [0, 0], workspace))?;
        let detour = self.detour.insert(detour);
        Ok(Some((&detour.made()?.y, &detour.after)))
    }

    /// relu(normalized z + residual), with the border that the next unit needs.
    pub fn forward(
        &mut self,
        z: &Map<T>,
        residual: Option<&Map<T>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        match self.detour(z, workspace)? {
            Some((y, after)) => Ok(after.normalize(y, residual, border, workspace)),
            None => Ok(self.normalize(z, residual, border, workspace)),
        }
    }

    /// The maxima of relu(normalized z), with the border that the next unit needs.
    pub fn forward_pooled(&mut self, z: &Map<T>, border: [usize; 2], workspace: &Arc<Workspace<T>>) -> Result<Map<T>> {
        match self.detour(z, workspace)? {
            Some((y, after)) => after.normalize_pooled(y, border, workspace),
            None => self.normalize_pooled(z, border, workspace),
        }
    }

    /// The gradient: `g`, dL/dy, becomes that of the sum before the ReLU, which is also the residual's; returns dz, with that
    /// border, and adds the parameters' gradients.
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &self,
        norm: &dyn Norm,
        z: &Map<T>,
        residual: Option<&Map<T>>,
        g: &mut Map<T>,
        border: [usize; 2],
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        let Some(detour) = &self.detour else {
            return self.gradient(norm, z, residual, g, border, gradients, workspace);
        };
        let dy = detour.after.gradient(norm, &detour.made()?.y, residual, g, [0, 0], gradients, workspace)?;
        let mut dy = detour.back(&dy, gradients)?;
        self.gradient(norm, z, None, &mut dy, border, gradients, workspace)
    }

    /// The gradient, given that with respect to the maxima: dz, with that border; adds the parameters' gradients.
    pub fn backward_pooled(
        &self,
        norm: &dyn Norm,
        z: &Map<T>,
        g: &Map<T>,
        border: [usize; 2],
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        let Some(detour) = &self.detour else {
            return self.gradient_pooled(norm, z, g, border, gradients, workspace);
        };
        let dy = detour.after.gradient_pooled(norm, &detour.made()?.y, g, [0, 0], gradients, workspace)?;
        let mut dy = detour.back(&dy, gradients)?;
        self.gradient(norm, z, None, &mut dy, border, gradients, workspace)
    }
}
