//! Cross-Iteration Batch Normalization by its definition: statistics of older batches moved to the present weights.

use candle_core::{DType, Device, Result, Tensor, Var};
use mbn::model::Store;
use mbn::norm::{Call, Norm, NormSpec, Pass, Producer, Progress, Site};

use crate::support::{assert_close, data, host};

const IMAGES: usize = 5;
const INPUTS: usize = 4;
const OUTPUTS: usize = 3;

/// z = x Wᵀ.
struct Linear {
    x: Tensor,
    weight: Tensor,
}

impl Linear {
    fn new(step: u64) -> Self {
        // The weights change, as under an optimizer.
        let weight = (data(&[OUTPUTS, INPUTS], 7) + (data(&[OUTPUTS, INPUTS], 50 + step) * 0.05).unwrap()).unwrap();
        Self { x: data(&[IMAGES, INPUTS], step), weight }
    }

    fn z(&self) -> Tensor {
        self.x.matmul(&self.weight.t().unwrap()).unwrap()
    }
}

impl Producer for Linear {
    fn weight(&self) -> Result<Tensor> {
        Ok(self.weight.clone())
    }

    fn patch_mean(&self) -> Result<Tensor> {
        self.x.mean(0)
    }

    fn patch_correlation(&self) -> Result<Tensor> {
        self.z().t()?.matmul(&self.x)? / IMAGES as f64
    }
}

/// Mean and mean square of a batch's output `c`, moved from its weights to others by a first-order Taylor expansion.
fn moved(batch: &Linear, to: &Tensor, c: usize) -> (f64, f64) {
    let (x, z) = (batch.x.to_vec2::<f64>().unwrap(), batch.z().to_vec2::<f64>().unwrap());
    let apart = (to - &batch.weight).unwrap().get(c).unwrap().to_vec1::<f64>().unwrap();
    let (mut mean, mut square) = (0.0, 0.0);
    for (x, z) in x.iter().zip(&z) {
        let along: f64 = x.iter().zip(&apart).map(|(x, apart)| x * apart).sum();
        mean += (z[c] + along) / IMAGES as f64;
        square += (z[c] * z[c] + 2.0 * z[c] * along) / IMAGES as f64;
    }
    (mean, square)
}

#[test]
fn cbn_matches_its_definition_over_many_steps() {
    let spec = NormSpec::new("cbn", &"size = 2\nwarmup = 0.1".parse().unwrap()).unwrap();
    let store = Store::fresh(0);
    let producer = Some((OUTPUTS, INPUTS).into());
    let site = Site { producer, ..Site::new(OUTPUTS, store.builder(DType::F64, &Device::Cpu)) };
    let norm = spec.build(site).unwrap();
    for step in 0..8 {
        let now = Linear::new(step);
        let (z, g) = (Var::from_tensor(&now.z()).unwrap(), data(&[IMAGES, OUTPUTS], 100 + step));
        let call = Call { pass: Pass::Train, progress: Progress { step: step as usize, steps: 20, parts: 1 } };
        let y = norm.forward_at(&z, call, Some(&now)).unwrap();
        let dz = (&y * &g).unwrap().sum_all().unwrap().backward().unwrap().get(&z).unwrap().to_vec2::<f64>().unwrap();
        let (y, z, g) = (y.to_vec2::<f64>().unwrap(), now.z().to_vec2::<f64>().unwrap(), g.to_vec2::<f64>().unwrap());
        // Plain BN for two steps, which are not remembered; then up to two older batches.
        let older: Vec<Linear> = (step.saturating_sub(2).max(2)..step).map(Linear::new).collect();
        for c in 0..OUTPUTS {
            let mut entries = vec![moved(&now, &now.weight, c)];
            if step >= 2 {
                entries.extend(older.iter().map(|batch| moved(batch, &now.weight, c)).filter(|(m, q)| q >= &(m * m)));
            }
            let share = 1.0 / entries.len() as f64;
            let mu: f64 = entries.iter().map(|entry| entry.0 * share).sum();
            let v = entries.iter().map(|entry| entry.1 * share).sum::<f64>() - mu * mu;
            let s = (v + 1e-5).sqrt();
            let mean = |f: &dyn Fn(usize) -> f64| (0..IMAGES).map(f).sum::<f64>() / IMAGES as f64;
            let (mean_g, mean_gx) = (mean(&|n| g[n][c]), mean(&|n| g[n][c] * (z[n][c] - mu) / s));
            for n in 0..IMAGES {
                let x = (z[n][c] - mu) / s;
                let want = [x, (g[n][c] - share * mean_g - share * x * mean_gx) / s];
                assert_close(&[y[n][c], dz[n][c]], &want, 1e-11);
            }
        }
    }
    assert!(norm.forward(&data(&[IMAGES, OUTPUTS], 1), Pass::Train).unwrap_err().to_string().contains("forward_at"));
}

#[test]
fn a_resumed_cbn_goes_on_to_the_bit() {
    let spec = NormSpec::new("cbn", &"warmup = 0.0".parse().unwrap()).unwrap();
    let build = |store: &Store| {
        let producer = Some((OUTPUTS, INPUTS).into());
        spec.build(Site { producer, ..Site::new(OUTPUTS, store.builder(DType::F64, &Device::Cpu)) }).unwrap()
    };
    let pass = |norm: &dyn Norm, step| {
        let now = Linear::new(step);
        host(&norm.forward_at(&now.z(), Pass::Train.into(), Some(&now)).unwrap())
    };
    let store = Store::fresh(0);
    let norm = build(&store);
    for step in 0..3 {
        pass(norm.as_ref(), step);
    }
    let copies = store.vars().into_iter().map(|(name, var)| (name, var.as_tensor().copy().unwrap())).collect();
    let resumed = build(&Store::from_tensors(copies));
    for step in 3..9 {
        assert_eq!(pass(norm.as_ref(), step), pass(resumed.as_ref(), step), "step {step}");
    }
}

#[test]
fn refreshing_cbn_is_training_it_on_the_fresh_entries() {
    let build = || {
        let spec = NormSpec::new("cbn", &"size = 2\nwarmup = 0.0".parse().unwrap()).unwrap();
        let producer = Some((OUTPUTS, INPUTS).into());
        spec.build(Site { producer, ..Site::new(OUTPUTS, Store::fresh(0).builder(DType::F64, &Device::Cpu)) }).unwrap()
    };
    let (refreshed, direct) = (build(), build());
    let pass = |norm: &dyn Norm, step, pass: Pass| {
        let now = Linear::new(step);
        host(&norm.forward_at(&now.z(), pass.into(), Some(&now)).unwrap())
    };
    assert!(refreshed.forward_at(&Linear::new(0).z(), Pass::REFRESH.into(), Some(&Linear::new(0))).is_err());
    for update in 0..4 {
        // Two micro-batches, refreshed with the statistics of others.
        let [first, second] = [10 * update, 10 * update + 1];
        for step in [first, second] {
            pass(refreshed.as_ref(), step, Pass::Train);
        }
        let older = pass(refreshed.as_ref(), 200 + first, Pass::Refresh { age: 1 });
        assert_close(&older, &pass(direct.as_ref(), 200 + first, Pass::Train), 1e-13);
        let probe = pass(refreshed.as_ref(), 200 + second, Pass::Probe);
        let newer = pass(refreshed.as_ref(), 200 + second, Pass::REFRESH);
        assert_close(&newer, &pass(direct.as_ref(), 200 + second, Pass::Train), 1e-13);
        assert_close(&probe, &newer, 1e-13);
    }
    let (got, want) = (refreshed.inference().unwrap(), direct.inference().unwrap());
    assert_close(&host(&got.var), &host(&want.var), 1e-13);
}
