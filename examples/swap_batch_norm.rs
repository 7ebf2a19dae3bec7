//! The same candle network with candle's Batch Normalization and with Memorized Batch Normalization, trained at batch size 2
//! on generated digits. Only the layer differs. One run each: an example, not a comparison.
//!
//!     cargo run --release --no-default-features --example swap_batch_norm

use anyhow::Result;
use candle_core::{DType, Device, Module, ModuleT, Tensor};
use candle_nn::{
    Conv2d, Conv2dConfig, Linear, Optimizer, SGD, VarBuilder, conv2d_no_bias, linear, linear_no_bias, loss,
};
use mbn::data::{self, Batch, Dataset, Images, Source};
use mbn::model::Store;
use mbn::norm::{MemorizedBatchNormConfig, memorized_batch_norm};

const BATCH_SIZE: usize = 2;
const LEARNING_RATE: f64 = 0.02;

type Norm = Box<dyn ModuleT>;
type MakeNorm = fn(usize, VarBuilder) -> candle_core::Result<Norm>;

fn batch_norm(channels: usize, vb: VarBuilder) -> candle_core::Result<Norm> {
    Ok(Box::new(candle_nn::batch_norm(channels, 1e-5, vb)?))
}

/// Its replacement.
fn memorized(channels: usize, vb: VarBuilder) -> candle_core::Result<Norm> {
    Ok(Box::new(memorized_batch_norm(channels, MemorizedBatchNormConfig::default(), vb)?))
}

struct Net {
    conv1: Conv2d,
    bn1: Norm,
    conv2: Conv2d,
    bn2: Norm,
    fc1: Linear,
    bn3: Norm,
    fc2: Linear,
}

impl Net {
    fn new(norm: MakeNorm, vb: VarBuilder) -> candle_core::Result<Self> {
        let stride2 = Conv2dConfig { stride: 2, ..Default::default() };
        Ok(Self {
            conv1: conv2d_no_bias(1, 8, 5, stride2, vb.pp("conv1"))?, // 28x28 to 12x12
            bn1: norm(8, vb.pp("bn1"))?,
            conv2: conv2d_no_bias(8, 16, 5, stride2, vb.pp("conv2"))?, // to 4x4
            bn2: norm(16, vb.pp("bn2"))?,
            fc1: linear_no_bias(16 * 4 * 4, 64, vb.pp("fc1"))?,
            bn3: norm(64, vb.pp("bn3"))?, // two values per channel: here plain Batch Normalization suffers most
            fc2: linear(64, 10, vb.pp("fc2"))?,
        })
    }
}

impl ModuleT for Net {
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        let x = self.bn1.forward_t(&self.conv1.forward(x)?, train)?.relu()?;
        let x = self.bn2.forward_t(&self.conv2.forward(&x)?, train)?.relu()?;
        let x = self.bn3.forward_t(&self.fc1.forward(&x.flatten_from(1)?)?, train)?.relu()?;
        self.fc2.forward(&x)
    }
}

/// One epoch of SGD whose learning rate falls linearly to 0.
fn train(net: &Net, mut sgd: SGD, digits: &Dataset) -> Result<()> {
    let all: Vec<u32> = (0..digits.train.len() as u32).collect();
    let order = data::epoch_order(&all, 1, 0);
    for (step, indices) in order.chunks_exact(BATCH_SIZE).enumerate() {
        let Batch { x, y } = batch(digits, &digits.train, indices)?;
        sgd.set_learning_rate(LEARNING_RATE * (1.0 - (step * BATCH_SIZE) as f64 / order.len() as f64));
        sgd.backward_step(&loss::cross_entropy(&net.forward_t(&x, true)?, &y)?)?;
    }
    Ok(())
}

/// Test accuracy under the inference statistics.
fn accuracy(net: &Net, digits: &Dataset) -> Result<f32> {
    let all: Vec<u32> = (0..digits.test.len() as u32).collect();
    let Batch { x, y } = batch(digits, &digits.test, &all)?;
    let hits = net.forward_t(&x, false)?.argmax(1)?.eq(&y)?;
    Ok(hits.to_dtype(DType::F32)?.mean_all()?.to_scalar()?)
}

fn batch(digits: &Dataset, images: &Images, indices: &[u32]) -> Result<Batch> {
    Ok(data::gather(images, indices, &digits.normalization(), None, &Device::Cpu)?)
}

fn main() -> Result<()> {
    let digits = data::load("digits", &Source::default())?;
    let norms: [(&str, MakeNorm); 2] = [("Batch Normalization", batch_norm), ("memorized", memorized)];
    for (name, norm) in norms {
        // A `candle_nn::VarMap` does as well; this one draws its values from a seed, so both networks begin alike.
        let vars = Store::fresh(1);
        let net = Net::new(norm, vars.builder(DType::F32, &Device::Cpu))?;
        let sgd = SGD::new(vars.vars().into_iter().map(|(_, var)| var).collect(), LEARNING_RATE)?;
        train(&net, sgd, &digits)?;
        println!("{name:20} {:.1} % test accuracy", 100.0 * accuracy(&net, &digits)?);
    }
    Ok(())
}
