//! The units that networks are chains of: one file each, with both of its forms.
//!
//! [`Unit::forward`] uses differentiable tensor operations, for every device and number type; [`Fused`] has forward and backward
//! passes of its own for the CPU. Both are the same function, up to the order of additions.

mod block;
mod builder;
mod conv_norm;
mod convolution;
mod flatten;
mod global_pool;
mod linear;
mod linear_norm;
mod norm_relu;
mod preact_block;
mod producer;
mod weights;

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::{Result, Tensor};

pub use block::Block;
pub use builder::{Builder, NamedNorm};
pub use conv_norm::ConvNorm;
pub use convolution::{ConvShape, Convolution};
pub use flatten::Flatten;
pub use global_pool::GlobalAvgPool;
pub use linear::Linear;
pub use linear_norm::LinearNorm;
pub use norm_relu::NormRelu;
pub use preact_block::PreactBlock;

use super::Gradients;
use super::fused::{Map, PassInput, Sizes, Workspace};
use crate::kernel::Float;
use crate::norm::{Call, Norm};
use crate::ops;

/// A chain of units.
pub type Units = Vec<Box<dyn Unit>>;

/// One link of the chain that a network is.
pub trait Unit: Debug + Send + Sync + Fused<f32> + Fused<f64> {
    /// The unit's output, in differentiable operations.
    fn forward(&self, x: &Tensor, call: Call) -> Result<Tensor>;

    /// The border of zeros, before and after, that the fused form wants around each image of its input.
    fn border(&self) -> [usize; 2] {
        [0; 2]
    }

    /// Multiplications of a forward pass over an input of sizes `x`, and the sizes of the output.
    ///
    /// # Errors
    /// An input that does not fit.
    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)>;
}

/// The fused form of a unit for a number type.
pub trait Fused<T: Float> {
    /// The outputs for several batches, one after the other, with that border.
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>>;
}

/// A unit's output for a batch.
pub struct Output<'a, T: Float> {
    /// The output.
    pub y: Map<T>,
    /// The backward pass, with what it needs of the forward pass.
    pub backward: Backward<'a, T>,
}

/// Given dL/dy and whether dL/dx is wanted: dL/dx if so, the parameters' gradients added to those given.
pub type Backward<'a, T> = Box<dyn FnOnce(Map<T>, bool, &mut Gradients) -> Result<Option<Map<T>>> + 'a>;

impl<'a, T: Float> Output<'a, T> {
    fn new(y: Map<T>, backward: impl FnOnce(Map<T>, bool, &mut Gradients) -> Result<Option<Map<T>>> + 'a) -> Self {
        Self { y, backward: Box::new(backward) }
    }
}

/// The outputs of a unit without parameters whose backward pass needs only the sizes of the input.
fn without_parameters<'a, T: Float>(
    batches: Vec<PassInput<Map<T>>>,
    workspace: &Arc<Workspace<T>>,
    forward: impl Fn(&Map<T>, &Arc<Workspace<T>>) -> Map<T>,
    gradient: impl Fn(Sizes, &Map<T>, &Arc<Workspace<T>>) -> Map<T> + Copy + 'a,
) -> Vec<Output<'a, T>> {
    let output = |PassInput { x, .. }: PassInput<Map<T>>| {
        let (from, workspace) = (x.sizes, workspace.clone());
        let y = forward(&x, &workspace);
        Output::new(y, move |g, wanted, _| Ok(wanted.then(|| gradient(from, &g, &workspace))))
    };
    batches.into_iter().map(output).collect()
}

/// Number types that units have a fused form for.
pub trait Number: Float {
    /// The unit's fused form for this type.
    fn of(unit: &dyn Unit) -> &dyn Fused<Self>;
}

impl Number for f32 {
    fn of(unit: &dyn Unit) -> &dyn Fused<f32> {
        unit
    }
}

impl Number for f64 {
    fn of(unit: &dyn Unit) -> &dyn Fused<f64> {
        unit
    }
}

/// The ReLU after a normalizer, with that normalizer's threshold.
fn rectified(norm: &dyn Norm, y: &Tensor, call: Call) -> Result<Tensor> {
    let threshold = norm.threshold().map(|threshold| attached(threshold, call));
    ops::rectify(y, threshold.as_ref())
}

/// A parameter, detached from the graph unless the pass is differentiated.
fn attached(parameter: &Tensor, call: Call) -> Tensor {
    match call.pass.is_differentiated() {
        true => parameter.clone(),
        false => parameter.detach(),
    }
}
