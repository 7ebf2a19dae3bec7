//! Chains of units with various geometries, in the plain and the fused implementation.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use mbn::model::chain;
use mbn::model::fused::{PassInput, Workspace};
use mbn::model::units::{Builder, ConvShape, Flatten, GlobalAvgPool, Units};
use mbn::model::{Design, Gradients, Shortcut, Store};
use mbn::norm::{NORMS, NormSpec, Pass, is_statistic};
use mbn::{ops, rng};

use crate::support::{Real, random};

/// Classes of every chain.
pub const CLASSES: usize = 5;

/// Values by name.
pub type Numbers = BTreeMap<String, Vec<f64>>;

/// A recipe: channels, height and width of the images, and what is built for them.
#[derive(Clone, Copy)]
pub struct Recipe<'a> {
    pub shape: [usize; 3],
    pub build: &'a dyn Fn(&Builder) -> Result<Units>,
}

/// A 5x5 convolution without padding, both kinds of shortcut at odd sizes, a fully connected layer with a normalizer.
pub const RESIDUAL: Recipe = Recipe { shape: [3, 14, 13], build: &residual };

fn residual(b: &Builder) -> Result<Units> {
    Ok(vec![
        Box::new(b.conv_norm("conv", "norm", [3, 20], ConvShape { size: 5, stride: 1, padding: 0 })?.pooled()),
        Box::new(b.pp("same").block([20, 20], 1)?),
        Box::new(b.pp("wider").block([20, 33], 2)?),
        Box::new(GlobalAvgPool),
        Box::new(b.linear_norm("hidden", "hidden_norm", [33, 17])?),
        Box::new(b.linear("last", [17, CLASSES])?),
    ])
}

/// Strides, windows that leave a remainder of rows and columns, features in the order of channels.
pub const POOLED: Recipe = Recipe { shape: [1, 15, 17], build: &pooled };

fn pooled(b: &Builder) -> Result<Units> {
    Ok(vec![
        Box::new(b.conv_norm("first", "first_norm", [1, 5], ConvShape { size: 3, stride: 1, padding: 1 })?.pooled()),
        Box::new(b.conv_norm("second", "second_norm", [5, 17], ConvShape { size: 3, stride: 1, padding: 1 })?.pooled()),
        Box::new(Flatten),
        Box::new(b.linear("last", [17 * 3 * 4, CLASSES])?),
    ])
}

/// Blocks wide and large enough for Winograd's algorithm, whatever the batch.
pub const TILED: Recipe = Recipe { shape: [2, 16, 16], build: &tiled };

fn tiled(b: &Builder) -> Result<Units> {
    Ok(vec![
        Box::new(b.conv_norm("conv", "norm", [2, 33], ConvShape { size: 3, stride: 1, padding: 1 })?),
        Box::new(b.pp("same").block([33, 33], 1)?),
        Box::new(GlobalAvgPool),
        Box::new(b.linear("last", [33, CLASSES])?),
    ])
}

/// Projections, biases, and a block that keeps the shape.
pub const PROJECTED: Recipe = Recipe { shape: [3, 9, 10], build: &projected };

fn projected(b: &Builder) -> Result<Units> {
    let b = b.clone().designed(Design { shortcut: Shortcut::Projection, ..Design::default() });
    Ok(vec![
        Box::new(b.biased_conv_norm("conv", "norm", [3, 20], ConvShape { size: 3, stride: 1, padding: 1 })?),
        Box::new(b.pp("same").block([20, 20], 1)?),
        Box::new(b.pp("wider").block([20, 33], 2)?),
        Box::new(b.biased_convolution("beyond", [33, 18], ConvShape { size: 3, stride: 2, padding: 1 })?),
        Box::new(GlobalAvgPool),
        Box::new(b.linear("last", [18, CLASSES])?),
    ])
}

/// Pre-activation, with shortcuts of all kinds.
pub const PREACT: Recipe = Recipe { shape: [3, 9, 10], build: &preact };

fn preact(b: &Builder) -> Result<Units> {
    let with = b.clone().designed(Design { shortcut: Shortcut::Projection, ..Design::default() });
    Ok(vec![
        Box::new(b.biased_convolution("conv", [3, 20], ConvShape { size: 3, stride: 1, padding: 1 })?),
        Box::new(b.pp("same").preact_block([20, 20], 1)?),
        Box::new(b.pp("wider").preact_block([20, 33], 2)?),
        Box::new(with.pp("projected").preact_block([33, 34], 2)?),
        Box::new(b.norm_relu("last_norm", 34)?),
        Box::new(GlobalAvgPool),
        Box::new(b.linear("last", [34, CLASSES])?),
    ])
}

/// Every chain.
pub const ALL: [(&str, Recipe); 5] =
    [("residual", RESIDUAL), ("pooled", POOLED), ("tiled", TILED), ("projected", PROJECTED), ("preact", PREACT)];

/// The chains that the normalizer called `norm` can be used in.
pub fn fitting(norm: &str) -> impl Iterator<Item = (&'static str, Recipe<'static>)> {
    let needy = NORMS.iter().any(|kind| kind.name == norm && kind.needs_producer);
    ALL.into_iter().filter(move |(name, _)| !needy || *name != "preact")
}

/// Images and labels.
pub struct LabelledImages {
    pub x: Tensor,
    pub y: Tensor,
}

impl LabelledImages {
    pub fn new<T: Real>(tag: &str, n: usize, [c, h, w]: [usize; 3]) -> Self {
        let x = Tensor::from_vec(random::<T>(tag, n * c * h * w), (n, c, h, w), &Device::Cpu).unwrap();
        let mut stream = rng::stream(13, tag);
        let y: Vec<u32> = (0..n).map(|_| stream.below(CLASSES) as u32).collect();
        Self { x, y: Tensor::from_vec(y, n, &Device::Cpu).unwrap() }
    }

    pub fn loss(&self, logits: &Tensor) -> Result<Tensor> {
        ops::cross_entropy(logits, &self.y, 0.1)
    }
}

pub fn host(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// A normalizer by name, with parameters as in a configuration file.
pub fn spec(name: &str, params: &str) -> NormSpec {
    NormSpec::new(name, &params.parse().unwrap()).unwrap()
}

/// Units with their parameters.
pub struct Chain<T> {
    units: Units,
    store: Store,
    /// Buffers of the fused passes; none for the plain implementation.
    workspace: Option<Arc<Workspace<T>>>,
}

impl<T: Real> Chain<T> {
    /// The same parameters every time, scales and shifts other than one and zero.
    pub fn new(recipe: Recipe, spec: &NormSpec, workspace: Option<Arc<Workspace<T>>>) -> Self {
        let store = Store::fresh(5);
        let units = (recipe.build)(&Builder::new(store.builder(T::DTYPE, &Device::Cpu), spec)).unwrap();
        let chain = Self { units, store, workspace };
        for (name, var) in chain.parameters().into_iter().filter(|(_, var)| var.rank() == 1) {
            let moved =
                host(&var).iter().zip(random::<f64>(&name, var.elem_count())).map(|(v, r)| v + 0.3 * r).collect();
            set(&var, moved);
        }
        chain
    }

    pub fn parameters(&self) -> Vec<(String, Var)> {
        self.store.vars().into_iter().filter(|(name, _)| !is_statistic(name)).collect()
    }

    /// Moves every parameter a little, the same way every time.
    pub fn nudge(&self) {
        for (name, var) in self.parameters() {
            let by = random::<f64>(&format!("nudge {name}"), var.elem_count());
            set(&var, host(&var).iter().zip(by).map(|(v, r)| v + 0.02 * r).collect());
        }
    }

    /// What the normalizers remember.
    pub fn statistics(&self) -> Numbers {
        let vars = self.store.vars().into_iter().filter(|(name, _)| is_statistic(name));
        vars.map(|(name, var)| (name, host(&var))).collect()
    }

    /// The logits of a pass.
    pub fn pass(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        match &self.workspace {
            Some(workspace) => chain::forward(&self.units, x, pass.into(), workspace),
            None => self.units.iter().try_fold(x.clone(), |x, unit| unit.forward(&x, pass.into())),
        }
    }

    /// A training pass: logits, loss and the gradient of every parameter.
    pub fn train(&self, images: &LabelledImages) -> Result<Numbers> {
        self.differentiate(images, Pass::Train)
    }

    /// [`Self::train`] in any differentiated pass.
    pub fn differentiate(&self, images: &LabelledImages, pass: Pass) -> Result<Numbers> {
        let mut gradients = Gradients::default();
        let (logits, loss) = match &self.workspace {
            Some(workspace) => {
                let batch = PassInput { x: images.x.clone(), call: pass.into() };
                let (logits, tape) = chain::record(&self.units, &[batch], workspace)?;
                let leaf = Var::from_tensor(&logits)?;
                let loss = images.loss(&leaf)?;
                tape.backward(&loss.backward()?.remove(&leaf).unwrap(), &mut gradients)?;
                (logits, loss)
            }
            None => {
                let logits = self.pass(&images.x, pass)?;
                let loss = images.loss(&logits)?;
                let mut all = loss.backward()?;
                for (_, var) in self.parameters() {
                    gradients.add(&var, all.remove(&var).unwrap())?;
                }
                (logits, loss)
            }
        };
        let mut numbers = Numbers::from([("logits".into(), host(&logits)), ("loss".into(), host(&loss))]);
        for (name, var) in self.parameters() {
            let gradient = gradients.get(&var).unwrap_or_else(|| panic!("no gradient of {name}"));
            numbers.insert(format!("gradient of {name}"), host(gradient));
        }
        Ok(numbers)
    }
}

/// Gives a parameter other values.
pub fn set(var: &Var, values: Vec<f64>) {
    let values = Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap();
    var.set(&values.to_dtype(var.dtype()).unwrap()).unwrap();
}
