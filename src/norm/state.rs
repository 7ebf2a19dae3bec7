//! The tensors a normalizer keeps besides its parameters: no gradient, no optimizer.

use candle_core::{Result, Shape, Tensor, Var};
use candle_nn::{Init, VarBuilder};

/// What a tensor of state is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Inference needs it: a checkpoint without it is incomplete.
    Inference,
    /// Only training needs it (and `--stats ema`): where a checkpoint of another program lacks it, it starts empty.
    Training,
}

/// One tensor of state, as a normalizer's file declares it.
#[derive(Debug, Clone, Copy)]
pub struct StateTensor {
    /// Last component of its name.
    pub name: &'static str,
    /// What it is for.
    pub role: Role,
    /// Initial value of its elements.
    pub empty: f64,
}

impl StateTensor {
    /// A tensor that inference needs.
    pub const fn inference(name: &'static str, empty: f64) -> Self {
        Self { name, role: Role::Inference, empty }
    }

    /// A tensor that only training needs.
    pub const fn training(name: &'static str, empty: f64) -> Self {
        Self { name, role: Role::Training, empty }
    }

    /// The tensor: shared with the variable builder's variable where it keeps variables, a fresh one where it only reads
    /// (a checkpoint opened for inference).
    pub fn create<S: Into<Shape>>(&self, shape: S, vb: &VarBuilder) -> Result<Var> {
        self.drawn(shape, Init::Const(self.empty), vb)
    }

    /// [`Self::create`] for a tensor whose initial values are drawn from a distribution.
    pub fn drawn<S: Into<Shape>>(&self, shape: S, init: Init, vb: &VarBuilder) -> Result<Var> {
        let shape = shape.into();
        match vb.get_with_hints(shape.clone(), self.name, init) {
            Err(_) if self.role == Role::Training && !vb.contains_tensor(self.name) => {
                Var::from_tensor(&Tensor::full(self.empty, shape, vb.device())?.to_dtype(vb.dtype())?)
            }
            tensor => Var::from_tensor(&tensor?),
        }
    }
}

/// Mean and variance for inference, under PyTorch's names.
pub const RUNNING: [StateTensor; 2] =
    [StateTensor::inference("running_mean", 0.0), StateTensor::inference("running_var", 1.0)];

/// The role of the tensor of that (dotted) name, if it is one of some normalizer's state.
pub fn role(name: &str) -> Option<Role> {
    let last = name.rsplit('.').next().unwrap_or(name);
    super::NORMS.iter().flat_map(|kind| kind.state).find(|tensor| tensor.name == last).map(|tensor| tensor.role)
}

/// Whether a variable of that (dotted) name is a normalizer's state rather than a parameter.
pub fn is_statistic(name: &str) -> bool {
    role(name).is_some()
}
