//! Normalizers that mix the batch's statistics with running averages, by their definitions, one value at a time; and
//! deferred averages.

use candle_core::{Tensor, Var};
use mbn::norm::{Call, Granularity, Norm, Pass, Progress};
use mbn::ops;

use crate::support::{assert_close, data, host, layer};

const EPS: f64 = 1e-5;
const STEPS: usize = 20;

fn call(step: usize) -> Call {
    Call { pass: Pass::Train, progress: Progress { step, steps: STEPS, parts: 1 } }
}

/// Output and input gradient of sum(y · g) in a training pass.
fn train(norm: &dyn Norm, x: &Tensor, g: &Tensor, call: Call) -> (Vec<f64>, Vec<f64>) {
    let x = Var::from_tensor(x).unwrap();
    let y = norm.forward_at(&x, call, None).unwrap();
    let grads = (&y * g).unwrap().sum_all().unwrap().backward().unwrap();
    (host(&y.detach()), host(grads.get(&x).unwrap()))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

/// Mean and biased variance.
fn moments(x: &[f64]) -> [f64; 2] {
    let mu = mean(x.iter().copied());
    [mu, mean(x.iter().map(|x| (x - mu) * (x - mu)))]
}

fn blend(average: &mut [f64; 2], new: [f64; 2], a: f64) {
    average.iter_mut().zip(new).for_each(|(average, new)| *average += a * (new - *average));
}

/// x̂ with those statistics, in which the batch's own have that weight, and the gradient for dL/dx̂.
fn normalized(x: &[f64], g: &[f64], [mu, v]: [f64; 2], share: f64) -> (Vec<f64>, Vec<f64>) {
    let (own, s) = (moments(x)[0], (v + EPS).sqrt());
    let hat: Vec<f64> = x.iter().map(|x| (x - mu) / s).collect();
    let (mean_g, mean_gx) = (mean(g.iter().copied()), mean(g.iter().zip(&hat).map(|(g, x)| g * x)));
    let dx = x.iter().zip(g).map(|(x, g)| (g - share * mean_g - share * (x - own) / s * mean_gx) / s).collect();
    (hat, dx)
}

/// Trains a layer of that name beside the definition of one channel, which is given the step, the values and dL/dx̂, and the
/// layer's own x̂, and returns x̂, the gradient, and the statistics of inference after the step.
fn follows<D>(name: &str, params: &str, mut channels: [D; 2])
where
    D: FnMut(usize, &[f64], &[f64], &[f64]) -> (Vec<f64>, Vec<f64>, [f64; 2]),
{
    let norm = layer(name, params, 2);
    for step in 0..STEPS {
        let (x, g) = (data(&[3, 2, 2, 1], step as u64), data(&[3, 2, 2, 1], 100 + step as u64));
        let (y, dx) = train(norm.as_ref(), &x, &g, call(step));
        let inference = norm.inference().unwrap();
        let (means, vars) = (host(&inference.mean), host(&inference.var));
        let (x, g) = (host(&x), host(&g));
        for (c, channel) in channels.iter_mut().enumerate() {
            let (gamma, beta) = (0.7 + 0.3 * c as f64, -0.2 + 0.3 * c as f64);
            let of = |all: &[f64]| -> Vec<f64> {
                (0..3).flat_map(|n| (0..2).map(move |i| (n * 2 + c) * 2 + i)).map(|at| all[at]).collect()
            };
            let g: Vec<f64> = of(&g).iter().map(|g| gamma * g).collect();
            let hat: Vec<f64> = of(&y).iter().map(|y| (y - beta) / gamma).collect();
            let (want, want_dx, [mean, var]) = channel(step, &of(&x), &g, &hat);
            assert_close(&hat, &want, 1e-11);
            assert_close(&of(&dx), &want_dx, 1e-10);
            assert_close(&[means[c], vars[c]], &[mean, var], 1e-12);
        }
    }
}

#[test]
fn momentum_bn_matches_its_definition_over_many_steps() {
    let channel = || {
        let (mut moving, mut running) = ([0.0, 1.0], [0.0, 1.0]);
        move |step: usize, x: &[f64], g: &[f64], _: &[f64]| {
            // Five epochs of four steps, batches of 3 images where 12 are ideal.
            let (t, total, q) = ((step / 4 + 1) as f64, 5.0, 3.0f64 / 12.0);
            let rho = q.powf(1.0 / total);
            let older = rho.powf(total / (total - 1.0) * (total - t).max(0.0)) - rho.powf(total);
            blend(&mut moving, moments(x), 1.0 - older);
            blend(&mut running, moments(x), 1.0 - 0.8f64.powf(q));
            let (hat, dx) = normalized(x, g, moving, 1.0 - older);
            (hat, dx, running)
        }
    };
    let params = "epochs = 5\nideal_batch_size = 12\nmomentum = 0.2";
    follows("momentum-bn", params, [channel(), channel()]);
}

#[test]
fn batch_renorm_matches_its_definition_over_many_steps() {
    for schedule in ["ramp", "switch"] {
        let channel = || {
            let mut running = [0.0, (1.0f64 + EPS).sqrt()];
            move |step: usize, x: &[f64], g: &[f64], _: &[f64]| {
                // Warm-up for 4 of 20 steps; a ramp ends after 12 for r, after 8 for d.
                let grown = |end: f64| match (step, schedule) {
                    (0..4, _) => 0.0,
                    (_, "ramp") => ((step as f64 - 4.0) / (end - 4.0)).min(1.0),
                    _ => 1.0,
                };
                let (r_max, d_max) = (1.0 + 0.5 * grown(12.0), 0.4 * grown(8.0));
                let [mu, v] = moments(x);
                let sigma = (v + EPS).sqrt();
                let r = (sigma / running[1]).clamp(1.0 / r_max, r_max);
                let d = ((mu - running[0]) / running[1]).clamp(-d_max, d_max);
                blend(&mut running, [mu, sigma], 0.3);
                // r and d are constants: the gradient is BN's for dL/dx̂_B = r dL/dx̂.
                let g: Vec<f64> = g.iter().map(|g| r * g).collect();
                let (hat, dx) = normalized(x, &g, [mu, v], 1.0);
                let hat = hat.iter().map(|x| r * x + d).collect();
                (hat, dx, [running[0], running[1] * running[1] - EPS])
            }
        };
        let params = "r_max = 1.5\nd_max = 0.4\nwarmup = 0.2\nr_relaxed = 0.6\nd_relaxed = 0.4\nmomentum = 0.3";
        follows("brn", &format!("{params}\nschedule = \"{schedule}\""), [channel(), channel()]);
    }
}

#[test]
fn unclipped_batch_renorm_is_inference_with_the_averages_before_the_batch() {
    let norm = layer("brn", "r_max = 1e9\nd_max = 1e9", 3);
    for step in 0..4 {
        let x = data(&[3, 3, 2, 2], step);
        let before = norm.forward(&x, Pass::Eval).unwrap();
        assert_close(&host(&norm.forward(&x, Pass::Train).unwrap()), &host(&before), 1e-12);
        let seen = norm.observed().unwrap();
        let hat = norm.affine().constant(&seen.used).unwrap().map;
        assert_close(&host(&ops::channel_map(&x, &hat).unwrap()), &host(&before), 1e-12);
    }
}

#[test]
fn hybrid_matches_its_definition_over_many_steps() {
    let channel = || {
        let mut running = [0.0, 1.0];
        move |_: usize, x: &[f64], g: &[f64], _: &[f64]| {
            let [mu, v] = moments(x);
            let mut mixed = running;
            blend(&mut mixed, [mu, v], 0.3);
            blend(&mut running, [mu, v * x.len() as f64 / (x.len() as f64 - 1.0)], 0.2);
            let (hat, dx) = normalized(x, g, mixed, 0.3);
            (hat, dx, running)
        }
    };
    follows("hybrid", "alpha = 0.3\nmomentum = 0.2", [channel(), channel()]);
}

#[test]
fn stochastic_norm_is_one_of_its_two_branches_for_each_channel() {
    let drawn = std::cell::RefCell::new(vec![]);
    let channel = || {
        let mut running = [0.0, 1.0];
        let drawn = &drawn;
        move |step: usize, x: &[f64], g: &[f64], hat: &[f64]| {
            let own = moments(x);
            let branches = [normalized(x, g, running, 0.0), normalized(x, g, own, 1.0)];
            blend(&mut running, [own[0], own[1] * x.len() as f64 / (x.len() as f64 - 1.0)], 0.1);
            let distance = |z: usize| branches[z].0.iter().zip(hat).map(|(a, b)| (a - b).abs()).sum::<f64>();
            let z = usize::from(distance(1) < distance(0));
            // BN for two steps.
            assert!(step >= 2 || z == 1);
            drawn.borrow_mut().push((step, z));
            let (hat, dx) = branches[z].clone();
            (hat, dx, running)
        }
    };
    follows("stochnorm", "warmup = 0.1", [channel(), channel()]);
    let drawn = drawn.into_inner();
    let batch = drawn.iter().filter(|(step, z)| *step >= 2 && *z == 1).count();
    assert!((8..=28).contains(&batch), "{batch} of 36 by the batch");
    let apart = (2..STEPS).filter(|step| drawn[2 * step].1 != drawn[2 * step + 1].1).count();
    assert!(apart > 0, "channels are drawn one by one");
}

#[test]
fn rivals_are_bn_at_one_end_of_their_parameters() {
    let ends = [
        ("brn", "r_max = 1.0\nd_max = 0.0", STEPS),
        ("brn", "", 0),
        ("momentum-bn", "epochs = 20", 0),
        ("momentum-bn", "ideal_batch_size = 3", STEPS),
        ("hybrid", "alpha = 0.9999999999999999", STEPS),
        ("stochnorm", "p = 1.0", STEPS),
        ("stochnorm", "warmup = 1.0\np = 0.0", STEPS - 1),
        ("deferred", "", STEPS),
    ];
    for (name, params, step) in ends {
        let (rival, bn) = (layer(name, params, 3), layer("bn", "", 3));
        for tag in 0..3 {
            let (x, g) = (data(&[3, 3, 2, 2], tag), data(&[3, 3, 2, 2], 100 + tag));
            let (got, want) = (train(rival.as_ref(), &x, &g, call(step)), train(bn.as_ref(), &x, &g, call(step)));
            assert_close(&got.0, &want.0, 1e-12);
            assert_close(&got.1, &want.1, 1e-11);
        }
    }
}

/// Updates of 3, 1 and 2 micro-batches of different sizes.
#[test]
fn deferred_averages_take_in_whole_updates_once() {
    let norm = layer("deferred", "momentum = 0.2", 3);
    let shape = |images: usize| [images, 3, 2, 2];
    let (mut mean, mut var) = (vec![0.0; 3], vec![1.0; 3]);
    let updates: [&[usize]; 3] = [&[2, 2, 1], &[3], &[4, 1]];
    for (u, sizes) in updates.iter().enumerate() {
        let at = |pass| Call { pass, progress: Progress { step: u, steps: 3, parts: sizes.len() } };
        let batches = |tag: u64| -> Vec<Tensor> {
            (0u64..).zip(*sizes).map(|(i, images)| data(&shape(*images), tag + 10 * u as u64 + i)).collect()
        };
        let (seen, fresh) = (batches(0), batches(50));
        let whole = |batches: &[Tensor]| ops::moments(&Tensor::cat(batches, 0).unwrap(), Granularity::Channel).unwrap();
        let taken = |old: &[f64], new: &Tensor| -> Vec<f64> {
            old.iter().zip(host(new)).map(|(old, new)| 0.8 * old + 0.2 * new).collect()
        };
        let check = |mean: &[f64], var: &[f64]| {
            let now = norm.inference().unwrap();
            assert_close(&host(&now.mean), mean, 1e-13);
            assert_close(&host(&now.var), var, 1e-13);
        };
        for batch in &seen {
            // Only with the last one.
            check(&mean, &var);
            norm.forward_at(batch, at(Pass::Train), None).unwrap();
        }
        let of = whole(&seen);
        check(&taken(&mean, &of.mean), &taken(&var, &of.var));
        for again in [&seen, &fresh] {
            for (i, batch) in again.iter().enumerate() {
                norm.forward_at(batch, at(Pass::Refresh { age: sizes.len() - 1 - i }), None).unwrap();
            }
            let of = whole(again);
            check(&taken(&mean, &of.mean), &taken(&var, &of.var));
        }
        let of = whole(&fresh);
        (mean, var) = (taken(&mean, &of.mean), taken(&var, &of.var));
    }
}
