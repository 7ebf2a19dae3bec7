//! BNET by its definition, over several steps, and where it reduces to BN.

use candle_core::{Tensor, Var};
use mbn::norm::{Norm, Pass};

use crate::reference::Reference;
use crate::support::{assert_close, data, host, layer, moved, train};

const EPS: f64 = 1e-5;

/// K * x̂ + beta with a kernel of k x k for each channel, its centre `gamma`, the rest `around`; or its transpose, without beta.
struct Linear {
    gamma: Vec<f64>,
    beta: Vec<f64>,
    around: Vec<f64>,
    k: usize,
}

impl Linear {
    fn weight(&self, c: usize, tap: usize) -> f64 {
        let (others, half) = (self.k * self.k - 1, self.k * self.k / 2);
        match tap {
            tap if tap == half => self.gamma[c],
            tap => self.around[c * others + tap - usize::from(tap > half)],
        }
    }

    /// The shape (N,C,H,W).
    fn of(&self, x: &[f64], [n, c, h, w]: [usize; 4], transposed: bool) -> Vec<f64> {
        let (k, reach) = (self.k, self.k / 2);
        let mut y = vec![0.0; x.len()];
        for (i, y) in y.iter_mut().enumerate() {
            let (plane, row, column) = (i / (h * w), i / w % h, i % w);
            assert!(plane / c < n);
            *y = if transposed { 0.0 } else { self.beta[plane % c] };
            for (down, right) in (0..k * k).map(|tap| (tap / k, tap % k)) {
                let tap = if transposed { k * k - 1 - down * k - right } else { down * k + right };
                let seen = ((row + down).checked_sub(reach), (column + right).checked_sub(reach));
                if let (Some(row), Some(column)) = seen
                    && row < h
                    && column < w
                {
                    *y += self.weight(plane % c, tap) * x[(plane * h + row) * w + column];
                }
            }
        }
        y
    }
}

/// x̂ by those statistics, and the gradient given that by x̂; through the statistics where they are the batch's.
fn normalized(x: &Tensor, g: &Tensor, statistics: &[(f64, f64)], through: bool) -> [Vec<f64>; 2] {
    let (mut hat, mut dx, g) = (vec![0.0; x.elem_count()], vec![0.0; x.elem_count()], host(g));
    for (c, (mu, v)) in statistics.iter().enumerate() {
        let (values, s) = (Reference::channel(x, c), (v + EPS).sqrt());
        values.iter().for_each(|(i, x)| hat[*i] = (x - mu) / s);
        let mean = |f: &dyn Fn(usize) -> f64| values.iter().map(|(i, _)| f(*i)).sum::<f64>() / values.len() as f64;
        let (mean_g, mean_gx) = if through { (mean(&|i| g[i]), mean(&|i| g[i] * hat[i])) } else { (0.0, 0.0) };
        values.iter().for_each(|(i, _)| dx[*i] = (g[*i] - mean_g - hat[*i] * mean_gx) / s);
    }
    [hat, dx]
}

#[test]
fn it_matches_its_definition_over_several_steps() {
    for (shape, k) in [([3, 3, 4, 2], 3), ([2, 3, 3, 3], 5), ([5, 3, 1, 1], 3)] {
        let (norm, store) = moved("bnet", &format!("kernel = {k}\nmomentum = 0.2"), 3, ("", 0, 0.0));
        let of = |name: &str| host(&store.vars().into_iter().find(|(known, _)| known.ends_with(name)).unwrap().1);
        let linear = Linear { gamma: of("weight"), beta: of("bias"), around: of("around"), k };
        let mut running = vec![(0.0, 1.0); 3];
        let check = |x: &Tensor, g: &Tensor, statistics: &[(f64, f64)], through, (y, dx): (Tensor, Tensor)| {
            let back = Tensor::from_vec(linear.of(&host(g), shape, true), &shape, g.device()).unwrap();
            let [hat, want_dx] = normalized(x, &back, statistics, through);
            assert_close(&host(&y), &linear.of(&hat, shape, false), 1e-12);
            assert_close(&host(&dx), &want_dx, 1e-11);
        };
        for step in 0..5 {
            let (x, g) = (data(&shape, step), data(&shape, 100 + step));
            let values = |c| Reference::channel(&x, c).into_iter().map(|(_, v)| v).collect::<Vec<_>>();
            let batch: Vec<_> = (0..3).map(|c| Reference::statistics(&values(c))).collect();
            check(&x, &g, &batch, true, train(norm.as_ref(), &x, &g));
            let n = (x.elem_count() / 3) as f64;
            for ((mean, var), (mu, v)) in running.iter_mut().zip(batch) {
                (*mean, *var) = (0.8 * *mean + 0.2 * mu, 0.8 * *var + 0.2 * v * n / (n - 1.0));
            }
            // With the running averages, frozen.
            let leaf = Var::from_tensor(&x).unwrap();
            let y = norm.forward(&leaf, Pass::Frozen).unwrap();
            let gradients = (&y * &g).unwrap().sum_all().unwrap().backward().unwrap();
            assert_eq!(host(&norm.forward(&x, Pass::Eval).unwrap()), host(&y));
            check(&x, &g, &running, false, (y, gradients.get(&leaf).unwrap().clone()));
        }
    }
}

#[test]
fn it_begins_as_bn_and_a_kernel_of_one_stays_it() {
    for (params, apart) in [("", false), ("kernel = 7", false), ("kernel = 1", true)] {
        let (bn, norm) = match apart {
            false => (layer("bn", "", 4), layer("bnet", params, 4)),
            true => (moved("bn", "", 4, ("", 0, 0.0)).0, moved("bnet", params, 4, ("", 0, 0.0)).0),
        };
        for shape in [&[3usize, 4, 3, 2][..], &[5, 4]] {
            for step in 0..3 {
                let (x, g) = (data(shape, step), data(shape, 10 + step));
                let ((y, dx), (want_y, want_dx)) = (train(norm.as_ref(), &x, &g), train(bn.as_ref(), &x, &g));
                assert_close(&host(&y), &host(&want_y), 1e-12);
                assert_close(&host(&dx), &host(&want_dx), 1e-12);
            }
            let again = data(shape, 20);
            for pass in [Pass::REFRESH, Pass::Eval] {
                let of = |norm: &dyn Norm| host(&norm.forward(&again, pass).unwrap());
                assert_close(&of(norm.as_ref()), &of(bn.as_ref()), 1e-12);
            }
        }
    }
}
