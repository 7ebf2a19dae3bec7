//! Normalizers against a slow f64 reference, finite differences and identities.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use mbn::model::Store;
use mbn::norm::{is_undefined, Call, Kind, Norm, NormSpec, Pass, Progress, Site, NORMS};
use toml::Table;

/// A layer of `features` channels with scale and shift away from 1 and 0.
fn layer(name: &str, params: &str, features: usize) -> Arc<dyn Norm> {
    let spec = NormSpec::new(name, &params.parse::<Table>().unwrap()).unwrap();
    let store = Store::fresh(0);
    let norm = spec.build(Site::new(features, store.builder(DType::F64, &Device::Cpu).pp("bn1"))).unwrap();
    for (name, var) in store.vars() {
        let shift = if name.ends_with(".weight") { 0.7 } else { -0.2 };
        if name.ends_with(".weight") || name.ends_with(".bias") {
            let values: Vec<f64> = (0..features).map(|c| shift + 0.3 * c as f64).collect();
            var.set(&Tensor::from_vec(values, features, &Device::Cpu).unwrap()).unwrap();
        }
    }
    norm
}

/// Deterministic data, another distribution for every `tag` and channel.
fn data(shape: &[usize], tag: u64) -> Tensor {
    let mut stream = mbn::rng::stream(tag, "test data");
    let count: usize = shape.iter().product();
    let inner: usize = shape[2..].iter().product();
    let value = |i: usize, z: f64| {
        let channel = (i / inner) % shape[1];
        z * (1.0 + 0.5 * channel as f64) + 0.4 * channel as f64 + 0.2 * tag as f64
    };
    let values: Vec<f64> = (0..count).map(|i| value(i, stream.normal())).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn host(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1::<f64>().unwrap()
}

#[track_caller]
fn assert_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "entry {i}: got {g}, want {w} (scale {scale})");
    }
}

/// Output and gradient of the input for sum(y · g) in a training pass.
fn train(norm: &dyn Norm, x: &Tensor, g: &Tensor) -> (Tensor, Tensor) {
    let x = Var::from_tensor(x).unwrap();
    let y = norm.forward(x.as_tensor(), Pass::Train).unwrap();
    let grads = (&y * g).unwrap().sum_all().unwrap().backward().unwrap();
    (y.detach(), grads.get(&x).unwrap().clone())
}

/// MBN by its definition, one channel at a time, one number at a time.
struct Reference {
    size: usize,
    decay: f64,
    total: bool,
    stat_grad: &'static str,
    /// Batches whose gradients are pooled, and the weight of each relative to the next newer one.
    gradient_length: (usize, f64),
    /// (mean, biased variance) per channel, newest first.
    memory: Vec<Vec<(f64, f64)>>,
    /// (mean of g, mean of g x̂) per channel, newest first.
    gradients: Vec<Vec<(f64, f64)>>,
}

/// Σ a_i f(i) with a_i proportional to decay^i.
fn fading(count: usize, decay: f64, f: impl Fn(usize) -> f64) -> f64 {
    let raw: Vec<f64> = (0..count).map(|i| decay.powi(i as i32)).collect();
    raw.iter().enumerate().map(|(i, w)| w * f(i)).sum::<f64>() / raw.iter().sum::<f64>()
}

impl Reference {
    fn statistics(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n)
    }

    fn new(size: usize, decay: f64) -> Self {
        let (total, stat_grad, gradient_length) = (true, "weighted", (size, decay));
        Self { size, decay, total, stat_grad, gradient_length, memory: vec![], gradients: vec![] }
    }

    /// Mean, variance and a_0 of the batches from that age on.
    fn pooled(&self, channel: usize, age: usize) -> (f64, f64, f64) {
        let slots: Vec<(f64, f64)> = self.memory[age..].iter().take(self.size).map(|slot| slot[channel]).collect();
        let mu = fading(slots.len(), self.decay, |i| slots[i].0);
        let spread = |s: (f64, f64)| if self.total { s.1 + (s.0 - mu).powi(2) } else { s.1 };
        let v = fading(slots.len(), self.decay, |i| spread(slots[i]));
        (mu, v, fading(slots.len(), self.decay, |i| f64::from(i == 0)))
    }

    /// Values of channel `c` in x (N,C,H,W) or (N,C), and where they stand.
    fn channel(x: &Tensor, c: usize) -> Vec<(usize, f64)> {
        let dims = x.dims();
        let inner: usize = dims[2..].iter().product();
        host(x).into_iter().enumerate().filter(|(i, _)| (i / inner) % dims[1] == c).collect()
    }

    fn push(&mut self, x: &Tensor) {
        let slot = (0..x.dims()[1]).map(|c| {
            let values: Vec<f64> = Self::channel(x, c).into_iter().map(|(_, v)| v).collect();
            Self::statistics(&values)
        });
        self.memory.insert(0, slot.collect());
    }

    /// Output and input gradient of a training pass, after `push`.
    fn pass(&mut self, x: &Tensor, g: &Tensor, age: usize) -> (Vec<f64>, Vec<f64>) {
        let count = x.elem_count();
        let (mut y, mut dx, g) = (vec![0.0; count], vec![0.0; count], host(g));
        let mut means = vec![];
        for c in 0..x.dims()[1] {
            let values = Self::channel(x, c);
            let n = values.len() as f64;
            let (mu, v, newest) = self.pooled(c, age);
            let s = (v + 1e-5).sqrt();
            let (gamma, beta) = (0.7 + 0.3 * c as f64, -0.2 + 0.3 * c as f64);
            let center = if self.total { mu } else { self.memory[age][c].0 };
            let mean_g = values.iter().map(|(i, _)| g[*i]).sum::<f64>() / n;
            let mean_gx = values.iter().map(|(i, v)| g[*i] * (v - mu) / s).sum::<f64>() / n;
            means.push((mean_g, mean_gx));
            let (size, decay) = self.gradient_length;
            let newer = |i: usize| if i == 0 { (mean_g, mean_gx) } else { self.gradients[i - 1][c] };
            let pooled = (self.gradients.len() + 1).min(size);
            let (g1, g2) = match self.stat_grad {
                "weighted" => (newest * mean_g, newest * mean_gx),
                "full" => (mean_g, mean_gx),
                "none" => (0.0, 0.0),
                _ => (fading(pooled, decay, |i| newer(i).0), fading(pooled, decay, |i| newer(i).1)),
            };
            for (i, value) in values {
                y[i] = gamma * (value - mu) / s + beta;
                dx[i] = gamma / s * (g[i] - g1 - (value - center) / s * g2);
            }
        }
        self.gradients.insert(0, means);
        (y, dx)
    }
}

#[test]
fn mbn_matches_the_reference_over_many_steps_memory_filling_included() {
    let shapes: [&[usize]; 2] = [&[2, 3, 3, 5], &[4, 3]];
    let kinds = ["memorized", "weighted", "full", "none"];
    for (pool, stat_grad) in ["total", "mean"].iter().flat_map(|p| kinds.map(|g| (*p, g))) {
        for (shape, decay) in shapes.iter().flat_map(|s| [(s, 1.0), (s, 0.8)]) {
            let params = format!("size = 4\ndecay = {decay:?}\npool = \"{pool}\"\nstat_grad = \"{stat_grad}\"");
            let norm = layer("mbn", &format!("{params}\ngrad_size = 3\ngrad_decay = 0.7\ninference = \"memory\""), 3);
            let (total, gradient_length) = (pool == "total", (3, 0.7));
            let mut reference = Reference { total, stat_grad, gradient_length, ..Reference::new(4, decay) };
            for step in 0..7 {
                let (x, g) = (data(shape, step), data(shape, 100 + step));
                let (y, dx) = train(norm.as_ref(), &x, &g);
                reference.push(&x);
                let (want_y, want_dx) = reference.pass(&x, &g, 0);
                assert_close(&host(&y), &want_y, 1e-12);
                assert_close(&host(&dx), &want_dx, 1e-11);
            }
            // Inference: the memory alone.
            let x = data(shape, 50);
            let y = norm.forward(&x, Pass::Eval).unwrap();
            assert_close(&host(&y), &reference.pass(&x, &x, 0).0, 1e-12);
        }
    }
}

#[test]
fn refreshing_micro_batches_replaces_their_slots_from_the_oldest_on() {
    let norm = layer("mbn", "size = 4\ndecay = 0.9\ninference = \"memory\"", 3);
    let mut reference = Reference::new(4, 0.9);
    for step in 0..6 {
        let x = data(&[2, 3, 2, 2], step);
        norm.forward(&x, Pass::Train).unwrap();
        reference.push(&x);
    }
    for age in [2, 1, 0] {
        let fresh = data(&[2, 3, 2, 2], 60 + age as u64);
        let y = norm.forward(&fresh, Pass::Refresh { age }).unwrap();
        let mut one = Reference::new(1, 1.0);
        one.push(&fresh);
        reference.memory[age] = one.memory[0].clone();
        assert_close(&host(&y), &reference.pass(&fresh, &fresh, age).0, 1e-12);
    }
    let x = data(&[2, 3, 2, 2], 70);
    assert_close(&host(&norm.forward(&x, Pass::Eval).unwrap()), &reference.pass(&x, &x, 0).0, 1e-12);
}

/// A refresh pools what the training pass of its batch pooled, although newer batches have pushed some of that out.
#[test]
fn refreshing_all_micro_batches_of_an_update_with_the_same_data_changes_nothing() {
    for parts in 1..=6 {
        let norm = layer("mbn", "size = 3\ndecay = 0.8", 3);
        let call = |pass| Call { pass, progress: Progress { parts, ..Progress::default() } };
        for step in 0..3 {
            let batches: Vec<Tensor> = (0..parts as u64).map(|i| data(&[2, 3, 2, 2], 10 * step + i)).collect();
            let trained: Vec<Tensor> =
                batches.iter().map(|x| norm.forward_at(x, call(Pass::Train), None).unwrap()).collect();
            let before = norm.inference().unwrap().copy().unwrap();
            // Ages beyond the memory change nothing that anybody will look at again.
            for age in (0..parts.min(3)).rev() {
                let i = parts - 1 - age;
                let again = norm.forward_at(&batches[i], call(Pass::Refresh { age }), None).unwrap();
                assert_close(&host(&again), &host(&trained[i]), 1e-13);
            }
            let after = norm.inference().unwrap();
            assert_close(&host(&after.mean), &host(&before.mean), 1e-13);
            assert_close(&host(&after.var), &host(&before.var), 1e-13);
        }
    }
}

#[test]
fn a_length_in_images_is_that_many_images_worth_of_batches() {
    for (images, batches) in [(1, 12), (2, 6), (3, 4), (5, 2), (12, 1), (40, 1)] {
        let per_batch = 0.9f64.powi(images as i32);
        let by_images = layer("mbn", "samples = 12\ndecay = 0.9\ngrad_samples = 6\ngrad_decay = 0.8", 3);
        let grad = (0.8f64.powi(images as i32), (6.0 / images as f64).round().max(1.0));
        let params = format!("size = {batches}\ndecay = {per_batch:?}");
        let by_batches = layer("mbn", &format!("{params}\ngrad_size = {}\ngrad_decay = {:?}", grad.1, grad.0), 3);
        for step in 0..14 {
            let (x, g) = (data(&[images, 3, 2, 2], step), data(&[images, 3, 2, 2], 100 + step));
            let (own, other) = (train(by_images.as_ref(), &x, &g), train(by_batches.as_ref(), &x, &g));
            assert_close(&host(&own.0), &host(&other.0), 1e-12);
            assert_close(&host(&own.1), &host(&other.1), 1e-12);
        }
    }
    // From that many images on it is BN.
    let (mbn, bn) = (layer("mbn", "samples = 12\ngrad_samples = 12", 3), layer("bn", "", 3));
    for step in 0..3 {
        let (x, g) = (data(&[12, 3, 2, 2], step), data(&[12, 3, 2, 2], 100 + step));
        let (own, other) = (train(mbn.as_ref(), &x, &g), train(bn.as_ref(), &x, &g));
        assert_close(&host(&own.0), &host(&other.0), 1e-13);
        assert_close(&host(&own.1), &host(&other.1), 1e-12);
    }
}

/// Over a stream that always holds the same eight images, in batches of two, a uniform memory of four batches in both
/// passes gives each image the gradient that BN gives it in the batch of eight.
#[test]
fn a_memory_of_a_stationary_stream_has_the_gradient_of_the_full_batch() {
    let (x, g) = (data(&[8, 3, 2, 2], 1), data(&[8, 3, 2, 2], 2));
    let (_, full) = train(layer("bn", "", 3).as_ref(), &x, &g);
    let part = |t: &Tensor, i: usize| t.narrow(0, 2 * (i % 4), 2).unwrap().contiguous().unwrap();
    let norm = layer("mbn", "size = 4\ndecay = 1.0\nstat_grad = \"memorized\"", 3);
    for i in 0..12 {
        let (_, dx) = train(norm.as_ref(), &part(&x, i), &part(&g, i));
        // The first four gradients were taken before the memory of statistics was full.
        if i >= 8 {
            assert_close(&host(&dx), &host(&part(&full, i)), 1e-11);
        }
    }
}

#[test]
fn the_refresh_pass_can_normalize_with_the_fresh_batch_alone() {
    let norm = layer("mbn", "size = 4\nrefresh = \"batch\"", 3);
    let bn = layer("bn", "", 3);
    for step in 0..3 {
        norm.forward(&data(&[4, 3], step), Pass::Train).unwrap();
    }
    let fresh = data(&[4, 3], 9);
    let got = norm.forward(&fresh, Pass::REFRESH).unwrap();
    assert_close(&host(&got), &host(&bn.forward(&fresh, Pass::Batch).unwrap()), 1e-12);
}

#[test]
fn mbn_of_size_one_is_bn() {
    for pool in ["total", "mean"] {
        let (mbn, bn) = (layer("mbn", &format!("size = 1\npool = \"{pool}\""), 3), layer("bn", "", 3));
        for step in 0..3 {
            let (x, g) = (data(&[3, 3, 2, 3], step), data(&[3, 3, 2, 3], 30 + step));
            let ((y, dx), (want_y, want_dx)) = (train(mbn.as_ref(), &x, &g), train(bn.as_ref(), &x, &g));
            assert_close(&host(&y), &host(&want_y), 1e-13);
            assert_close(&host(&dx), &host(&want_dx), 1e-12);
        }
    }
}

#[test]
fn uniform_memory_over_disjoint_batches_is_the_statistics_of_their_union() {
    // As the memory has them, and as the running average begins.
    for inference in ["memory", "average"] {
        let params = format!("size = 4\ndecay = 1.0\ninference = \"{inference}\"");
        let (norm, whole) = (layer("mbn", &params, 3), layer("bn", "", 3));
        let x = data(&[8, 3, 2, 2], 3);
        for part in 0..4 {
            norm.forward(&x.narrow(0, 2 * part, 2).unwrap().contiguous().unwrap(), Pass::Train).unwrap();
        }
        let (pooled, union) = (norm.inference().unwrap(), {
            whole.forward(&x, Pass::Batch).unwrap();
            whole.observed().unwrap().batch
        });
        assert_close(&host(&pooled.mean), &host(&union.mean), 1e-13);
        assert_close(&host(&pooled.var), &host(&union.var), 1e-13);
    }
}

#[test]
fn a_refresh_with_the_same_data_changes_nothing() {
    for kind in NORMS.iter().filter(|kind| kind.refreshes) {
        let (plain, doubled) = (layer(kind.name, "", 3), layer(kind.name, "", 3));
        for step in 0..4 {
            let x = data(&[3, 3, 2, 2], step);
            plain.forward(&x, Pass::Train).unwrap();
            let first = doubled.forward(&x, Pass::Train).unwrap();
            let second = doubled.forward(&x, Pass::REFRESH).unwrap();
            assert_close(&host(&second), &host(&first), 1e-13);
        }
        let x = data(&[3, 3, 2, 2], 9);
        let eval = |norm: &dyn Norm| host(&norm.forward(&x, Pass::Eval).unwrap());
        assert_close(&eval(doubled.as_ref()), &eval(plain.as_ref()), 1e-13);
    }
}

#[test]
fn a_refresh_leaves_running_averages_as_if_trained_on_the_fresh_batches() {
    let (refreshed, direct) = (layer("bn", "", 3), layer("bn", "", 3));
    let shape = [2, 3, 2, 2];
    for norm in [&refreshed, &direct] {
        norm.forward(&data(&shape, 1), Pass::Train).unwrap();
    }
    for tag in [2, 3, 4] {
        refreshed.forward(&data(&shape, tag), Pass::Train).unwrap();
    }
    for (age, tag) in [(2, 12), (1, 13), (0, 14)] {
        refreshed.forward(&data(&shape, tag), Pass::Refresh { age }).unwrap();
        direct.forward(&data(&shape, tag), Pass::Train).unwrap();
    }
    let (got, want) = (refreshed.inference().unwrap(), direct.inference().unwrap());
    assert_close(&host(&got.mean), &host(&want.mean), 1e-13);
    assert_close(&host(&got.var), &host(&want.var), 1e-13);
}

/// d sum(y·g)/dx by central differences; a new layer with the same history for every evaluation.
fn numeric(make: &dyn Fn() -> Arc<dyn Norm>, x: &Tensor, g: &Tensor) -> Vec<f64> {
    let values = host(x);
    let at = |i: usize, h: f64| {
        let mut moved = values.clone();
        moved[i] += h;
        let moved = Tensor::from_vec(moved, x.shape(), &Device::Cpu).unwrap();
        let y = make().forward(&moved, Pass::Train).unwrap();
        (y * g).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
    };
    let h = 1e-5;
    (0..values.len()).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect()
}

/// Normalizers that need not know what made their input.
fn alone() -> impl Iterator<Item = &'static Kind> {
    NORMS.iter().filter(|kind| kind.name != "cbn")
}

/// Parameters under which a normalizer has the gradient of its forward pass, what it remembers held constant.
fn exact(name: &str) -> &'static str {
    match name {
        "gn" => "groups = 2",
        // Behind one value per image and channel, nearly a step with the usual eps.
        "frn" => "eps = 0.01",
        "mbn" => "stat_grad = \"weighted\"",
        _ => "",
    }
}

#[test]
fn every_normalizer_has_the_gradient_of_its_own_forward_pass() {
    // MABN's is another one by design.
    for kind in alone().filter(|kind| kind.name != "mabn") {
        for shape in [&[2usize, 4, 3, 2][..], &[5, 4]] {
            let make = || {
                // Four batches of history for those that remember.
                let norm = layer(kind.name, exact(kind.name), 4);
                for step in 0..4 {
                    norm.forward(&data(shape, step), Pass::Train).unwrap();
                }
                norm
            };
            let (x, g) = (data(shape, 7), data(shape, 8));
            let (_, dx) = train(make().as_ref(), &x, &g);
            assert_close(&host(&dx), &numeric(&make, &x, &g), 1e-7);
        }
    }
}

#[test]
fn passes_that_remember_nothing_leave_no_trace() {
    for kind in alone() {
        let norm = layer(kind.name, "", 4);
        for step in 0..3 {
            norm.forward(&data(&[3, 4, 2, 2], step), Pass::Train).unwrap();
        }
        let x = data(&[3, 4, 2, 2], 5);
        let before = host(&norm.forward(&x, Pass::Eval).unwrap());
        for pass in [Pass::Batch, Pass::Probe, Pass::Eval] {
            norm.forward(&data(&[3, 4, 2, 2], 6), pass).unwrap();
        }
        assert_eq!(before, host(&norm.forward(&x, Pass::Eval).unwrap()), "{}", kind.name);
    }
}

#[test]
fn a_probe_is_a_refresh_that_forgets() {
    for kind in NORMS.iter().filter(|kind| kind.refreshes) {
        let norm = layer(kind.name, "", 4);
        for step in 0..3 {
            norm.forward(&data(&[3, 4], step), Pass::Train).unwrap();
        }
        let x = data(&[3, 4], 5);
        let probe = host(&norm.forward(&x, Pass::Probe).unwrap());
        assert_close(&probe, &host(&norm.forward(&x, Pass::REFRESH).unwrap()), 1e-13);
    }
}

#[test]
fn one_value_per_channel_is_refused_or_has_a_rule() {
    let (x, spatial) = (data(&[1, 3], 1), data(&[1, 3, 2, 2], 1));
    let refusal = |name: &str, params: &str| {
        let error = layer(name, params, 3).forward(&x, Pass::Train).unwrap_err();
        assert!(is_undefined(&error), "{error}");
        error.to_string()
    };
    assert!(refusal("bn", "").contains("gn"));
    assert!(refusal("mbn", "size = 1").contains("bn1"));
    assert!(refusal("mbn", "pool = \"mean\"").contains("total"));
    assert!(refusal("mbn", "stat_grad = \"full\"").contains("memorized"));
    for params in ["grad_size = 1", "grad_samples = 1", "size = 4\ngrad_size = 1"] {
        assert!(refusal("mbn", params).contains("grad_samples"));
    }
    layer("bn", "", 3).forward(&spatial, Pass::Train).unwrap();

    // The first batch is scaled and shifted only; from the second on the spread between batches is the variance.
    let norm = layer("mbn", "size = 8\ndecay = 1.0", 3);
    let first = host(&norm.forward(&x, Pass::Train).unwrap());
    let affine: Vec<f64> = host(&x)
        .iter()
        .enumerate()
        .map(|(c, v)| (0.7 + 0.3 * c as f64) * v / (1f64 + 1e-5).sqrt() - 0.2 + 0.3 * c as f64)
        .collect();
    assert_close(&first, &affine, 1e-12);
    let mut seen = vec![host(&x)];
    for step in 2..6 {
        let x = data(&[1, 3], step);
        let y = host(&norm.forward(&x, Pass::Train).unwrap());
        seen.push(host(&x));
        for c in 0..3 {
            let column: Vec<f64> = seen.iter().map(|row| row[c]).collect();
            let (mu, v) = Reference::statistics(&column);
            let want = (0.7 + 0.3 * c as f64) * (host(&x)[c] - mu) / (v + 1e-5).sqrt() - 0.2 + 0.3 * c as f64;
            assert!((y[c] - want).abs() < 1e-10, "step {step} channel {c}: {} {want}", y[c]);
        }
    }
    assert!(is_undefined(&norm.forward(&x, Pass::Batch).unwrap_err()));
}

#[test]
fn constant_channels_stay_finite() {
    for kind in alone() {
        let norm = layer(kind.name, "", 4);
        let x = Tensor::ones((3, 4, 2, 2), DType::F64, &Device::Cpu).unwrap();
        let (y, dx) = train(norm.as_ref(), &x, &data(&[3, 4, 2, 2], 1));
        assert!(host(&y).iter().chain(&host(&dx)).all(|v| v.is_finite()), "{}", kind.name);
    }
}

#[test]
fn wrong_shapes_are_refused_by_name() {
    for kind in NORMS {
        for shape in [&[2usize, 5][..], &[2, 5, 3, 3], &[2, 4, 3], &[4], &[0, 4], &[2, 4, 0, 3]] {
            let x = Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap();
            let error = layer(kind.name, "", 4).forward(&x, Pass::Train).unwrap_err().to_string();
            assert!(error.contains("bn1") && error.contains("4"), "{}: {error}", kind.name);
        }
    }
}

#[test]
fn refreshing_what_is_not_remembered_is_an_error() -> Result<()> {
    for kind in NORMS.iter().filter(|kind| kind.refreshes) {
        let norm = layer(kind.name, "", 3);
        let x = data(&[4, 3], 1);
        assert!(norm.forward(&x, Pass::REFRESH).is_err(), "{}", kind.name);
        norm.forward(&x, Pass::Train)?;
        norm.forward(&x, Pass::REFRESH)?;
        assert!(norm.forward(&x, Pass::Refresh { age: 1 }).is_err(), "{}", kind.name);
    }
    Ok(())
}

#[test]
fn parameters_out_of_range_are_refused() {
    let refused = |name: &str, params: &str, word: &str| {
        let error = NormSpec::new(name, &params.parse::<Table>().unwrap()).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    refused("mbn", "samples = 0", "samples");
    refused("mbn", "size = 5000", "size");
    refused("mbn", "grad_decay = -0.5", "grad_decay");
    refused("mbn", "decay = 1.5", "decay");
    refused("mbn", "decay = nan", "decay");
    refused("mbn", "decay = -0.1", "decay");
    refused("mbn", "pool = \"sum\"", "total");
    refused("mbn", "sise = 3", "sise");
    refused("bn", "momentum = 0.0", "momentum");
    refused("bn", "eps = -1.0", "eps");
    refused("gn", "groups = 0", "groups");
    refused("none", "eps = 1.0", "eps");
    refused("mnb", "", "did you mean `mbn`");
}

#[test]
fn memory_survives_its_checkpoint() {
    let spec = NormSpec::new("mbn", &"size = 5".parse::<Table>().unwrap()).unwrap();
    let store = Store::fresh(0);
    let norm = spec.build(Site::new(3, store.builder(DType::F64, &Device::Cpu))).unwrap();
    for step in 0..3 {
        norm.forward(&data(&[4, 3], step), Pass::Train).unwrap();
    }
    let copies = store.vars().into_iter().map(|(name, var)| (name, var.as_tensor().copy().unwrap())).collect();
    let restored = spec.build(Site::new(3, Store::from_tensors(copies).builder(DType::F64, &Device::Cpu))).unwrap();
    for step in 3..9 {
        let x = data(&[4, 3], step);
        let pass = |norm: &dyn Norm| host(&norm.forward(&x, Pass::Train).unwrap());
        assert_eq!(pass(norm.as_ref()), pass(restored.as_ref()), "step {step}");
    }
}
