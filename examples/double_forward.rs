//! Double-Forward by hand: updates of 8 images in micro-batches of 2. After each update every micro-batch is passed through
//! once more, without gradient, and what is remembered of it is replaced by its statistics under the new weights.
//!
//! Prints how stale the memory is: remembered means against those of the same images under the current weights.
//!
//!     cargo run --release --no-default-features --example double_forward

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Module, Tensor, Var};
use candle_nn::{Linear, Optimizer, SGD, VarBuilder, linear, linear_no_bias, loss};
use mbn::data::{self, Batch, Dataset, Images, Source};
use mbn::model::Store;
use mbn::norm::{
    Call, InferWith, MemorizedBatchNorm, MemorizedBatchNormConfig, Norm, Pass, Progress, memorized_batch_norm,
};

const BATCH_SIZE: usize = 8;
const NORM_BATCH_SIZE: usize = 2;
/// Images remembered: those of four updates, all with the same weight.
const REMEMBERED: usize = 32;
const UPDATES: usize = 500;

struct Net {
    fc1: Linear,
    bn1: MemorizedBatchNorm,
    fc2: Linear,
}

impl Net {
    fn new(vb: VarBuilder) -> candle_core::Result<Self> {
        // Inference by the memory itself, so that `inference()` returns its pooled statistics.
        let config = MemorizedBatchNormConfig {
            samples: REMEMBERED,
            decay: 1.0,
            inference: InferWith::Memory,
            ..Default::default()
        };
        Ok(Self {
            fc1: linear_no_bias(28 * 28, 64, vb.pp("fc1"))?,
            bn1: memorized_batch_norm(64, config, vb.pp("bn1"))?,
            fc2: linear(64, 10, vb.pp("fc2"))?,
        })
    }

    fn forward(&self, x: &Tensor, call: Call) -> candle_core::Result<Tensor> {
        let x = self.fc1.forward(&x.flatten_from(1)?)?;
        self.fc2.forward(&self.bn1.forward_at(&x, call, None)?.relu()?)
    }
}

/// The network, and what an update needs.
struct Training {
    net: Net,
    vars: Vec<Var>,
    sgd: SGD,
    double_forward: bool,
}

impl Training {
    fn update(&mut self, parts: &[Batch], step: usize) -> candle_core::Result<()> {
        // How many batches an update takes tells the layer how far back refreshes will go.
        let progress = Progress { step, steps: UPDATES, parts: parts.len() };
        let mut sum = None;
        for Batch { x, y } in parts {
            // Each micro-batch is normalized and remembered by itself; the gradients add up.
            let logits = self.net.forward(x, Call { pass: Pass::Train, progress })?;
            let gradients = (loss::cross_entropy(&logits, y)? / parts.len() as f64)?.backward()?;
            sum = Some(self.add(sum, gradients)?);
        }
        if let Some(gradients) = sum {
            self.sgd.step(&gradients)?;
        }
        if self.double_forward {
            // From the oldest, of age parts - 1, to the newest, of age 0.
            for (age, Batch { x, .. }) in parts.iter().rev().enumerate().rev() {
                self.net.forward(x, Call { pass: Pass::Refresh { age }, progress })?;
            }
        }
        Ok(())
    }

    fn add(&self, sum: Option<GradStore>, gradients: GradStore) -> candle_core::Result<GradStore> {
        let Some(mut sum) = sum else { return Ok(gradients) };
        for var in &self.vars {
            if let (Some(one), Some(other)) = (sum.remove(var), gradients.get(var)) {
                sum.insert(var, (one + other)?);
            }
        }
        Ok(sum)
    }
}

fn batch(digits: &Dataset, images: &Images, indices: &[u32]) -> Result<Batch> {
    Ok(data::gather(images, indices, &digits.normalization(), None, &Device::Cpu)?)
}

/// Test accuracy in percent, and the mean over channels of |remembered mean - mean under the current weights| in standard
/// deviations.
fn train(digits: &Dataset, double_forward: bool) -> Result<[f32; 2]> {
    let store = Store::fresh(1);
    let net = Net::new(store.builder(DType::F32, &Device::Cpu))?;
    let vars: Vec<Var> = store.vars().into_iter().map(|(_, var)| var).collect();
    let sgd = SGD::new(vars.clone(), 0.05)?;
    let mut training = Training { net, vars, sgd, double_forward };

    let order = data::epoch_order(&(0..digits.train.len() as u32).collect::<Vec<_>>(), 1, 0);
    let order = &order[..UPDATES * BATCH_SIZE];
    for (step, indices) in order.chunks(BATCH_SIZE).enumerate() {
        let parts = indices.chunks(NORM_BATCH_SIZE).map(|part| batch(digits, &digits.train, part));
        training.update(&parts.collect::<Result<Vec<_>>>()?, step)?;
    }

    let (net, mut stale) = (training.net, 0.0);
    let remembered = batch(digits, &digits.train, &order[order.len() - REMEMBERED..])?;
    net.forward(&remembered.x, Pass::Batch.into())?;
    if let (Some(now), Some(memory)) = (net.bn1.observed(), net.bn1.inference()) {
        let apart = ((now.batch.mean - memory.mean)?.abs()? / now.batch.var.sqrt()?)?;
        stale = apart.mean_all()?.to_scalar()?;
    }
    let test = batch(digits, &digits.test, &(0..digits.test.len() as u32).collect::<Vec<_>>())?;
    let hits = net.forward(&test.x, Pass::Eval.into())?.argmax(1)?.eq(&test.y)?;
    Ok([100.0 * hits.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?, stale])
}

fn main() -> Result<()> {
    let digits = data::load("digits", &Source::default())?;
    for (name, double_forward) in [("one forward pass", false), ("Double-Forward", true)] {
        let [accuracy, stale] = train(&digits, double_forward)?;
        println!("{name:16}  memory {stale:.4} standard deviations behind, {accuracy:.1} % test accuracy");
    }
    Ok(())
}
