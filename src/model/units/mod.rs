//! The units networks are chains of: one file each, with both of its forms.
//!
//! [`Unit::forward`] is made of differentiable operations on tensors, for every device and number type; [`Fused`] is a
//! forward and a backward pass of its own on the CPU. They are the same function, up to the order of additions.

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

    /// Zeros around each image, before and after, that the fused form would like its input to have.
    fn border(&self) -> [usize; 2] {
        [0; 2]
    }

    /// Multiplications of a forward pass, and the sizes of what it makes of `x`.
    ///
    /// # Errors
    /// An input that does not fit.
    fn multiplications(&self, x: Sizes) -> Result<(usize, Sizes)>;
}

/// The fused form of a unit for numbers of a type.
pub trait Fused<T: Float> {
    /// The outputs for several batches, one after the other, with such a border.
    fn fused<'a>(
        &'a self,
        batches: Vec<PassInput<Map<T>>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Vec<Output<'a, T>>>;
}

/// What a unit makes of a batch.
pub struct Output<'a, T: Float> {
    /// The output.
    pub y: Map<T>,
    /// The way back, with all it needs of the way there.
    pub backward: Backward<'a, T>,
}

/// Given dL/dy and whether dL/dx is wanted: dL/dx if so, the parameters' gradients added to those given.
pub type Backward<'a, T> = Box<dyn FnOnce(Map<T>, bool, &mut Gradients) -> Result<Option<Map<T>>> + 'a>;

impl<'a, T: Float> Output<'a, T> {
    fn new(y: Map<T>, backward: impl FnOnce(Map<T>, bool, &mut Gradients) -> Result<Option<Map<T>>> + 'a) -> Self {
        Self { y, backward: Box::new(backward) }
    }
}

/// The outputs of a unit without parameters, of whose input the way back needs the sizes alone.
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

/// Numbers that units have a fused form for.
pub trait Number: Float {
    /// That form.
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

/// The rectifier behind a normalizer, from that normalizer's threshold on.
fn rectified(norm: &dyn Norm, y: &Tensor, call: Call) -> Result<Tensor> {
    let threshold = norm.threshold().map(|threshold| attached(threshold, call));
    ops::rectify(y, threshold.as_ref())
}

/// A parameter as the pass wants it: attached to the graph only where it is differentiated.
fn attached(parameter: &Tensor, call: Call) -> Tensor {
    match call.pass.is_differentiated() {
        true => parameter.clone(),
        false => parameter.detach(),
    }
}
