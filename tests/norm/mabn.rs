//! Moving Average Batch Normalization by its definition: both warm-ups, both memories, the correction, and a resumed layer.

use candle_core::{DType, Device, Tensor, Var};
use mbn::model::Store;
use mbn::norm::{Call, Norm, NormSpec, Pass, Progress, Site};

use crate::support::{assert_close, data, host};

const SHAPE: [usize; 4] = [2, 3, 2, 2];
const PER_CHANNEL: usize = 8;

/// Two images per batch, two batches remembered; batch statistics for 3 of 20 steps, no correction for 6.
const PARAMS: &str = "samples = 4\nwarmup = 0.15\nuncorrected = 0.3\nmomentum = 0.1";

/// One channel, one value at a time.
struct Channel {
    squares: Vec<f64>,
    psis: Vec<f64>,
    running: f64,
}

impl Channel {
    /// Output and input gradient of the values of a step, given dL/dy.
    fn step(&mut self, step: usize, gamma: f64, x: &[f64], g: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (n, alone) = (x.len() as f64, step < 3);
        let newest = |memory: &mut Vec<f64>, value: f64, full: bool| {
            memory.insert(0, value);
            if alone || !full { value } else { (memory[0] + memory[1]) / 2.0 }
        };
        let full = !self.squares.is_empty();
        let chi = newest(&mut self.squares, x.iter().map(|x| x * x).sum::<f64>() / n, full);
        let s = (chi + 1e-5).sqrt();
        let r = if step < 6 { 1.0 } else { (s / (self.running + 1e-5).sqrt()).clamp(0.2, 5.0) };
        self.running += 0.1 * (chi - self.running);
        let psi = x.iter().zip(g).map(|(x, g)| gamma * r * g * x / s).sum::<f64>() / n;
        let psi = newest(&mut self.psis, psi, full);
        let y = x.iter().map(|x| gamma * r * x / s).collect();
        let dx = x.iter().zip(g).map(|(x, g)| (gamma * r * g - x / s * psi) / s).collect();
        (y, dx)
    }
}

/// Indices of the values of channel `c`.
fn places(c: usize) -> impl Iterator<Item = usize> {
    (0..2).flat_map(move |n| (0..4).map(move |i| (n * 3 + c) * 4 + i))
}

fn layer(store: &Store) -> std::sync::Arc<dyn Norm> {
    let spec = NormSpec::new("mabn", &PARAMS.parse().unwrap()).unwrap();
    spec.build(Site::new(3, store.builder(DType::F64, &Device::Cpu))).unwrap()
}

/// Output and input gradient of the layer.
fn train(norm: &dyn Norm, step: usize) -> (Vec<f64>, Vec<f64>) {
    let (x, g) = (Var::from_tensor(&data(&SHAPE, step as u64)).unwrap(), data(&SHAPE, 100 + step as u64));
    let call = Call { pass: Pass::Train, progress: Progress { step, steps: 20, parts: 1 } };
    let y = norm.forward_at(&x, call, None).unwrap();
    let grads = (&y * g).unwrap().sum_all().unwrap().backward().unwrap();
    (host(&y.detach()), host(grads.get(&x).unwrap()))
}

#[test]
fn mabn_matches_its_definition_over_many_steps_and_resumes_to_the_bit() {
    let store = Store::fresh(0);
    let norm = layer(&store);
    let gammas = [0.7, 1.0, 1.3];
    let (_, gamma) = store.vars().into_iter().find(|(name, _)| name == "weight").unwrap();
    gamma.set(&Tensor::new(&gammas, &Device::Cpu).unwrap()).unwrap();
    let mut channels = gammas.map(|_| Channel { squares: vec![], psis: vec![], running: 1.0 });
    let mut resumed = None;
    for step in 0..12 {
        if step == 8 {
            let copies = store.vars().into_iter().map(|(name, var)| (name, var.as_tensor().copy().unwrap())).collect();
            resumed = Some(layer(&Store::from_tensors(copies)));
        }
        let (y, dx) = train(norm.as_ref(), step);
        let (x, g) = (host(&data(&SHAPE, step as u64)), host(&data(&SHAPE, 100 + step as u64)));
        for (c, channel) in channels.iter_mut().enumerate() {
            let pick = |values: &[f64]| places(c).map(|i| values[i]).collect::<Vec<f64>>();
            let (want_y, want_dx) = channel.step(step, gammas[c], &pick(&x), &pick(&g));
            assert_eq!(want_y.len(), PER_CHANNEL);
            assert_close(&pick(&y), &want_y, 1e-12);
            assert_close(&pick(&dx), &want_dx, 1e-11);
        }
        if let Some(resumed) = &resumed {
            assert_eq!((y, dx), train(resumed.as_ref(), step), "step {step}");
        }
    }
    let running = channels.map(|channel| channel.running);
    assert_close(&host(&norm.inference().unwrap().var), &running, 1e-12);
}
