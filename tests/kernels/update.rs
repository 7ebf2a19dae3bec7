//! SGD without and with momentum, Nesterov momentum and weight decay; AdamW.

use mbn::kernel::Kernel;
use mbn::kernel::update::{Adapt, Descend};

use crate::fence::GuardedBuffer;
use crate::support::{Real, Sum, assert_sums, on_every_isa, random, wide};

const MOMENTUM: f64 = 0.875;
const DECAY: f64 = 0.03125;
const RATE: f64 = 0.25;

fn check<T: Real>(len: usize, momentum: bool, nesterov: bool) {
    let [mut p, mut b] = ["p", "b"].map(|name| GuardedBuffer::new(&random::<T>(name, len)));
    let g = GuardedBuffer::new(&random::<T>("g", len));
    let (mut new_p, mut new_b) = (vec![], vec![]);
    for ((p, b), g) in p.iter().zip(b.iter()).zip(g.iter()).map(|((p, b), g)| ((p.to_f64(), b.to_f64()), g.to_f64())) {
        let along = [g, DECAY * p];
        let remembered = [MOMENTUM * b, g, DECAY * p];
        let direction = match (momentum, nesterov) {
            (false, _) => along.to_vec(),
            (true, false) => remembered.to_vec(),
            (true, true) => along.into_iter().chain(remembered.map(|v| MOMENTUM * v)).collect(),
        };
        let terms: Vec<f64> = std::iter::once(p).chain(direction.iter().map(|d| -RATE * d)).collect();
        new_p.push(Sum::of(&terms, 8));
        new_b.push(Sum::of(&remembered, 4));
    }
    let [m, w, r] = [MOMENTUM, DECAY, RATE].map(T::from_f64);
    let buffer = if momentum { &mut b[..] } else { &mut [] };
    Descend { p: &mut p, b: buffer, g: &g, momentum: m, decay: w, rate: r, nesterov }.compute();
    let what = format!("{len} values, momentum {momentum}, nesterov {nesterov}");
    assert_sums::<T>(&what, &wide(&p), &new_p);
    if momentum {
        assert_sums::<T>(&format!("{what}, buffer"), &wide(&b), &new_b);
    }
}

fn check_adapt<T: Real>(len: usize) {
    let [mut p, mut m, g] = ["p", "m", "g"].map(|name| GuardedBuffer::new(&random::<T>(name, len)));
    let squares: Vec<T> = wide(&random::<T>("v", len)).iter().map(|v| T::from_f64(v * v)).collect();
    let mut v = GuardedBuffer::new(&squares);
    let (mut new_p, mut new_m, mut new_v) = (vec![], vec![], vec![]);
    for i in 0..len {
        let [p, m, v, g] = [&p, &m, &v, &g].map(|values| values[i].to_f64());
        let (first, second) = ([MOMENTUM * m, (1.0 - MOMENTUM) * g], [0.96875 * v, 0.03125 * g * g]);
        let divisor = 1.5 * second.iter().sum::<f64>().sqrt() + 0.0625;
        new_p.push(Sum::of(&[(1.0 - DECAY) * p, -RATE * first[0] / divisor, -RATE * first[1] / divisor], 12));
        new_m.push(Sum::of(&first, 4));
        new_v.push(Sum::of(&second, 4));
    }
    let [keep, rate, root, eps] = [1.0 - DECAY, RATE, 1.5, 0.0625].map(T::from_f64);
    let (betas, new) = ([MOMENTUM, 0.96875].map(T::from_f64), [1.0 - MOMENTUM, 0.03125].map(T::from_f64));
    Adapt { p: &mut p, m: &mut m, v: &mut v, g: &g, keep, betas, new, rate, root, eps }.compute();
    for (what, got, want) in [("parameter", &p, &new_p), ("mean", &m, &new_m), ("square", &v, &new_v)] {
        assert_sums::<T>(&format!("{len} values, {what}"), &wide(got), want);
    }
}

fn every_form<T: Real>() {
    for len in [1, 3, 5, 16, 17, 33, 50, 64, 1000] {
        check_adapt::<T>(len);
        [(false, false), (true, false), (true, true)].into_iter().for_each(|(m, n)| check::<T>(len, m, n));
    }
}

#[test]
fn equals_its_definition() {
    on_every_isa(every_form::<f32>);
    every_form::<f64>();
}
