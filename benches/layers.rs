//! A normalization layer by itself, forward and backward on (N,C,H,W) tensors, against candle's: `cargo bench --bench layers`.

use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use mbn::norm::{NORMS, NormSpec, Pass, Site};

/// A layer in training.
type Layer = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

fn layer(name: &str, features: usize, vars: &VarMap) -> Result<Layer> {
    let vb = VarBuilder::from_varmap(vars, DType::F32, &Device::Cpu);
    if name == "candle" {
        let layer = candle_nn::batch_norm(features, 1e-5, vb)?;
        return Ok(Box::new(move |x| layer.forward_train(x)));
    }
    let spec = NormSpec::new(name, &toml::Table::new()).map_err(candle_core::Error::wrap)?;
    let layer = spec.build(Site::new(features, vb))?;
    Ok(Box::new(move |x| layer.forward(x, Pass::Train)))
}

/// Milliseconds of the forward and the backward pass, medians over at least five.
fn measure(layer: &Layer, x: &Tensor) -> Result<[f64; 2]> {
    let mut times = [vec![], vec![]];
    let begun = Instant::now();
    while times[0].len() < 5 || begun.elapsed().as_secs_f64() < 0.5 {
        let x = Var::from_tensor(x)?;
        let start = Instant::now();
        let y = layer(&x)?;
        times[0].push(start.elapsed().as_secs_f64() * 1e3);
        let loss = y.sum_all()?;
        let start = Instant::now();
        loss.backward()?;
        times[1].push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }))
}

fn main() -> Result<()> {
    println!("layer,images,channels,side,forward_ms,backward_ms");
    for (images, channels, side) in [(2, 16, 32), (2, 64, 8), (32, 32, 16), (128, 64, 32)] {
        let x = Tensor::randn(0f32, 1.0, (images, channels, side, side), &Device::Cpu)?;
        // Cross-iteration normalization needs the layer before it, so it cannot run alone.
        let ours = NORMS.iter().map(|kind| kind.name).filter(|name| *name != "cbn");
        for name in ["candle"].into_iter().chain(ours) {
            let [forward, backward] = measure(&layer(name, channels, &VarMap::new())?, &x)?;
            println!("{name},{images},{channels},{side},{forward:.3},{backward:.3}");
        }
    }
    Ok(())
}
