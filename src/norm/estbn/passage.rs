//! Both normalizations of a batch, and their gradient, from the moments and sums of each image and channel.

use crate::ops::Groups;

/// What the backward pass needs of both normalizations: values per channel, or per image and channel.
pub(super) struct Passage {
    groups: Groups,
    pixels: f64,
    /// Moments of the input, per image and channel.
    own: [Vec<f64>; 2],
    /// z = k (x - m) + beta_1 with k = gamma_1 `scale`, per channel.
    m: Vec<f64>,
    scale: Vec<f64>,
    k: Vec<f64>,
    beta1: Vec<f64>,
    gamma: Vec<f64>,
    /// The groups' mean of z and 1/sqrt(v_z + eps), per image and channel.
    mean: Vec<f64>,
    group_scale: Vec<f64>,
}

impl Passage {
    /// Takes the input's moments `own` per image and channel, the first normalization's mean and variance per channel,
    /// gamma_1, beta_1 and gamma; eps is the same in both normalizations.
    pub fn new(
        own: [Vec<f64>; 2],
        [m, v]: [Vec<f64>; 2],
        [gamma1, beta1, gamma]: [Vec<f64>; 3],
        groups: Groups,
        (pixels, eps): (usize, f64),
    ) -> Self {
        let scales = |vars: &[f64]| vars.iter().map(|v| 1.0 / (v + eps).sqrt()).collect::<Vec<f64>>();
        let (features, scale) = (m.len(), scales(&v));
        let k: Vec<f64> = gamma1.iter().zip(&scale).map(|(gamma, scale)| gamma * scale).collect();
        let of_z = |(i, (mean, var)): (usize, (&f64, &f64))| {
            let c = i % features;
            (k[c] * (mean - m[c]) + beta1[c], k[c] * k[c] * var)
        };
        let (mut mean, mut var): (Vec<f64>, Vec<f64>) = own[0].iter().zip(&own[1]).enumerate().map(of_z).unzip();
        groups.moments(features, &mut mean, &mut var);
        let group_scale = scales(&var);
        Self { groups, pixels: pixels as f64, own, m, scale, k, beta1, gamma, mean, group_scale }
    }

    /// Slope and shift of y = slope (x - m) + shift.
    pub fn map(&self, beta: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let features = self.m.len();
        let at = |(i, scale): (usize, &f64)| {
            let c = i % features;
            let outer = self.gamma[c] * scale;
            (outer * self.k[c], outer * (self.beta1[c] - self.mean[i]) + beta[c])
        };
        self.group_scale.iter().enumerate().map(at).unzip()
    }

    /// b and d of dx = slope g + b (x - m) + d, and the gradients of gamma, beta, gamma_1 and beta_1.
    pub fn gradient(&self, g: &[f64], gx: &[f64]) -> ([Vec<f64>; 2], [Vec<f64>; 4]) {
        let (features, pixels) = (self.m.len(), self.pixels);
        let mut parameters = [0; 4].map(|_| vec![0.0; features]);
        let (mut total, mut along) = (vec![0.0; g.len()], vec![0.0; g.len()]);
        for i in 0..g.len() {
            let c = i % features;
            // Σ g ẑ, ẑ = (z - mean) group_scale.
            let standard = (self.k[c] * gx[i] + (self.beta1[c] - self.mean[i]) * g[i]) * self.group_scale[i];
            parameters[0][c] += standard;
            parameters[1][c] += g[i];
            (total[i], along[i]) = (self.gamma[c] * g[i], self.gamma[c] * standard);
        }
        self.groups.project(features, pixels, &self.group_scale, &mut total, &mut along);
        // dz = outer g + along (z - mean) + total, and z - mean = k (x - m) + off.
        for i in 0..g.len() {
            let c = i % features;
            let (outer, off) = (self.gamma[c] * self.group_scale[i], self.beta1[c] - self.mean[i]);
            let apart = self.own[0][i] - self.m[c];
            let square = self.own[1][i] + apart * apart;
            let by_x = outer * gx[i] + pixels * (along[i] * (self.k[c] * square + off * apart) + total[i] * apart);
            parameters[2][c] += self.scale[c] * by_x;
            parameters[3][c] += outer * g[i] + pixels * (along[i] * (self.k[c] * apart + off) + total[i]);
            total[i] = self.k[c] * (total[i] + along[i] * off);
            along[i] *= self.k[c] * self.k[c];
        }
        ([along, total], parameters)
    }
}
