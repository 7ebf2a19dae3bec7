//! Exports a network trained with Memorized Batch Normalization to plain Batch Normalization: train, save, load into
//! `candle_nn::batch_norm`, compare the outputs.
//!
//!     cargo run --release --no-default-features --example export_to_batch_norm

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Module, ModuleT, Tensor};
use candle_nn::{Linear, Optimizer, SGD, VarBuilder, VarMap, linear, linear_no_bias, loss};
use mbn::norm::{MemorizedBatchNormConfig, memorized_batch_norm};

/// Added to the variance; both networks use the same, and the same tensor names.
const EPS: f64 = 1e-5;

struct Net<N> {
    fc1: Linear,
    bn1: N,
    fc2: Linear,
}

impl<N: ModuleT> Net<N> {
    fn new(bn1: N, vb: VarBuilder) -> candle_core::Result<Self> {
        Ok(Self { fc1: linear_no_bias(6, 32, vb.pp("fc1"))?, bn1, fc2: linear(32, 3, vb.pp("fc2"))? })
    }

    fn forward(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        self.fc2.forward(&self.bn1.forward_t(&self.fc1.forward(x)?, train)?.relu()?)
    }
}

/// Random points of six coordinates; the class is the largest of the first three.
fn points(count: usize) -> candle_core::Result<(Tensor, Tensor)> {
    let x = Tensor::randn(0f32, 1f32, (count, 6), &Device::Cpu)?;
    let y = x.narrow(1, 0, 3)?.argmax(1)?;
    Ok((x, y))
}

fn main() -> Result<()> {
    let vars = VarMap::new();
    let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let config = MemorizedBatchNormConfig { eps: EPS, ..Default::default() };
    let memorized = Net::new(memorized_batch_norm(32, config, vb.pp("bn1"))?, vb)?;
    let mut sgd = SGD::new(vars.all_vars(), 0.05)?;
    for _ in 0..1000 {
        let (x, y) = points(4)?;
        sgd.backward_step(&loss::cross_entropy(&memorized.forward(&x, true)?, &y)?)?;
    }

    // The file also holds the memories, under names of their own, so that training can resume from it. Plain Batch
    // Normalization loads weight, bias, running_mean and running_var.
    let path = std::env::temp_dir().join(format!("mbn-export-{}.safetensors", std::process::id()));
    vars.save(&path)?;
    let tensors = candle_core::safetensors::load(&path, &Device::Cpu)?;
    std::fs::remove_file(&path)?;
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let plain = Net::new(candle_nn::batch_norm(32, EPS, vb.pp("bn1"))?, vb)?;

    let (x, y) = points(1000)?;
    let (ours, theirs) = (memorized.forward(&x, false)?, plain.forward(&x, false)?);
    let accuracy: f32 = theirs.argmax(1)?.eq(&y)?.to_dtype(DType::F32)?.mean_all()?.to_scalar()?;
    let apart: f32 = (&ours - &theirs)?.abs()?.max_all()?.to_scalar()?;
    let largest: f32 = ours.abs()?.max_all()?.to_scalar()?;
    println!("plain Batch Normalization: {:.1} % of new points", 100.0 * accuracy);
    println!("largest difference of the outputs: {apart:e}, for outputs up to {largest:.1}");
    ensure!(apart <= 1e-4 * largest, "the outputs differ");
    Ok(())
}
