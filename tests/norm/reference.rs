//! A slow reference for MBN.

use candle_core::Tensor;

use crate::support::host;

/// MBN by its definition, one channel and one value at a time.
pub struct Reference {
    pub size: usize,
    pub decay: f64,
    pub total: bool,
    pub stat_grad: &'static str,
    /// Batches whose gradients are pooled, and the weight of each relative to the next newer one.
    pub gradient_length: (usize, f64),
    /// (mean, biased variance) per channel, newest first.
    pub memory: Vec<Vec<(f64, f64)>>,
    /// (mean of g, mean of g x̂) per channel, newest first.
    pub gradients: Vec<Vec<(f64, f64)>>,
}

impl Reference {
    pub fn statistics(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n)
    }

    pub fn new(size: usize, decay: f64) -> Self {
        let (total, stat_grad, gradient_length) = (true, "weighted", (size, decay));
        Self { size, decay, total, stat_grad, gradient_length, memory: vec![], gradients: vec![] }
    }

    /// Pooled mean and variance, and a_0, of the batches from that age on.
    pub fn pooled(&self, channel: usize, age: usize) -> (f64, f64, f64) {
        let slots: Vec<(f64, f64)> = self.memory[age..].iter().take(self.size).map(|slot| slot[channel]).collect();
        let mu = fading(slots.len(), self.decay, |i| slots[i].0);
        let spread = |s: (f64, f64)| if self.total { s.1 + (s.0 - mu).powi(2) } else { s.1 };
        let v = fading(slots.len(), self.decay, |i| spread(slots[i]));
        (mu, v, fading(slots.len(), self.decay, |i| f64::from(i == 0)))
    }

    /// Values of channel `c` in x (N,C,H,W) or (N,C), and where they stand.
    pub fn channel(x: &Tensor, c: usize) -> Vec<(usize, f64)> {
        let dims = x.dims();
        let inner: usize = dims[2..].iter().product();
        host(x).into_iter().enumerate().filter(|(i, _)| (i / inner) % dims[1] == c).collect()
    }

    pub fn push(&mut self, x: &Tensor) {
        let slot = (0..x.dims()[1]).map(|c| {
            let values: Vec<f64> = Self::channel(x, c).into_iter().map(|(_, v)| v).collect();
            Self::statistics(&values)
        });
        self.memory.insert(0, slot.collect());
    }

    /// Output and input gradient of a training pass, after `push`.
    pub fn pass(&mut self, x: &Tensor, g: &Tensor, age: usize) -> (Vec<f64>, Vec<f64>) {
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

/// Σ a_i f(i) with a_i proportional to decay^i.
pub fn fading(count: usize, decay: f64, f: impl Fn(usize) -> f64) -> f64 {
    let raw: Vec<f64> = (0..count).map(|i| decay.powi(i as i32)).collect();
    raw.iter().enumerate().map(|(i, w)| w * f(i)).sum::<f64>() / raw.iter().sum::<f64>()
}
