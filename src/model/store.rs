//! The store of a network's tensors: drawn from a seed, or taken from a checkpoint.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::norm::{Role, role};
use crate::rng::{self, Stream};

/// The variables of a network by name, in the order of their creation (the network's own order).
///
/// A new tensor is drawn from the stream `init/<name>` of the seed, so its values depend on nothing but seed, name,
/// shape and distribution: candle's own initialisation cannot be seeded on the CPU.
#[derive(Clone)]
pub struct Store {
    seed: u64,
    given: Arc<HashMap<String, Tensor>>,
    strict: bool,
    vars: Arc<Mutex<Vec<(String, Var)>>>,
}

/// Last component of the name of PyTorch's count of batches, which no normalizer here needs.
const PYTORCH_ONLY: &str = "num_batches_tracked";

impl Store {
    /// Tensors drawn from `seed`.
    pub fn fresh(seed: u64) -> Self {
        Self { seed, given: Arc::default(), strict: false, vars: Arc::default() }
    }

    /// Tensors of a checkpoint. A tensor that the network needs and `tensors` lacks is an error that names it, except for state
    /// that only training needs, which starts empty.
    pub fn from_tensors(tensors: HashMap<String, Tensor>) -> Self {
        Self { seed: 0, given: Arc::new(tensors), strict: true, vars: Arc::default() }
    }

    /// A variable builder that creates (or finds) its tensors here.
    pub fn builder(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), dtype, device.clone())
    }

    /// Every variable, parameters and statistics, in the order of creation.
    pub fn vars(&self) -> Vec<(String, Var)> {
        self.lock().clone()
    }

    /// Whether the checkpoint held a tensor of that name.
    pub fn was_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The first tensor of the checkpoint, by name, that the network built from it does not use, except for those that only
    /// training needs, which another normalizer may do without.
    pub fn unused(&self) -> Option<String> {
        let vars = self.lock();
        let used: HashSet<&str> = vars.iter().map(|(name, _)| name.as_str()).collect();
        let needless = |name: &str| for_training_only(name) || name.rsplit('.').next() == Some(PYTORCH_ONLY);
        let unused = |name: &&String| !used.contains(name.as_str()) && !needless(name);
        self.given.keys().filter(unused).min().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, Var)>> {
        self.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn create(&self, shape: &Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Var> {
        if let Some(tensor) = self.given.get(name) {
            if tensor.shape() != shape {
                bail!("tensor `{name}` has shape {:?}, the network needs {shape:?}", tensor.shape());
            }
            return Var::from_tensor(&tensor.to_dtype(dtype)?.to_device(device)?.detach());
        }
        if self.strict && !for_training_only(name) {
            bail!("tensor `{name}` of shape {shape:?} is missing");
        }
        let values = draw(&mut rng::stream(self.seed, &format!("init/{name}")), shape, init);
        Var::from_tensor(&Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)
    }
}

/// Whether a tensor of that name may be missing from a checkpoint.
fn for_training_only(name: &str) -> bool {
    role(name) == Some(Role::Training)
}

/// Values of candle-nn's distributions.
fn draw(stream: &mut Stream, shape: &Shape, init: Init) -> Vec<f64> {
    let count = shape.elem_count();
    let mut uniform = |lo: f64, up: f64, n| (0..n).map(|_| lo + (up - lo) * stream.uniform()).collect();
    match init {
        Init::Const(value) => vec![value; count],
        Init::Uniform { lo, up } => uniform(lo, up, count),
        Init::Randn { mean, stdev } => (0..count).map(|_| mean + stdev * stream.normal()).collect(),
        Init::Kaiming { dist, fan, non_linearity } => {
            let std = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            match dist {
                NormalOrUniform::Uniform => uniform(-3f64.sqrt() * std, 3f64.sqrt() * std, count),
                NormalOrUniform::Normal => (0..count).map(|_| std * stream.normal()).collect(),
            }
        }
    }
}

impl SimpleBackend for Store {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let found = self.lock().iter().find(|(known, _)| known == name).map(|(_, var)| var.as_tensor().clone());
        if let Some(tensor) = found {
            if tensor.shape() != &shape {
                bail!("tensor `{name}` exists with shape {:?}, asked for {shape:?}", tensor.shape());
            }
            return Ok(tensor);
        }
        let var = self.create(&shape, name, init, dtype, device)?;
        let tensor = var.as_tensor().clone();
        self.lock().push((name.to_string(), var));
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.lock().iter().find(|(known, _)| known == name) {
            Some((_, var)) => Ok(var.as_tensor().clone()),
            None => bail!("tensor `{name}` is missing"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.given.contains_key(name) || self.lock().iter().any(|(known, _)| known == name)
    }
}
