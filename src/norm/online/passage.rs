//! Online Normalization of a batch and its gradient, image by image, from the moments and sums of each image and channel: only
//! these are sequential.

/// What the backward pass needs of the forward pass; values per image and channel unless said otherwise.
pub(super) struct Passage {
    pub pixels: f64,
    /// Moments of the input.
    pub own: [Vec<f64>; 2],
    /// The statistics it was normalized with, the second as 1/sqrt(v + eps).
    pub mean: Vec<f64>,
    pub scale: Vec<f64>,
    /// Per channel.
    pub gamma: Vec<f64>,
    pub beta: Vec<f64>,
    /// The factor of each image by layer scaling, if there is layer scaling.
    pub layer: Option<Vec<f64>>,
}

/// The control process of the backward pass: uc and vc, per channel.
pub(super) struct Control {
    pub mean: Vec<f64>,
    pub cov: Vec<f64>,
    /// 1 - ab.
    pub gain: f64,
}

/// The results of the backward pass.
pub(super) struct Flow {
    /// b and d of dx = slope g + b (x - mean) + d.
    pub b: Vec<f64>,
    pub d: Vec<f64>,
    /// Of gamma and of beta.
    pub parameters: [Vec<f64>; 2],
}

impl Passage {
    /// The means of x̂ and x̂² over the positions.
    fn standard(&self, i: usize) -> (f64, f64) {
        let apart = self.own[0][i] - self.mean[i];
        (apart * self.scale[i], (self.own[1][i] + apart * apart) * self.scale[i] * self.scale[i])
    }

    /// Sets layer scaling: 1/sqrt(mean of y² + eps), the mean over the channels and positions of an image.
    pub fn scale_layers(&mut self, eps: f64) {
        let features = self.gamma.len();
        let square = |i: usize| {
            let ((mean, square), gamma, beta) = (self.standard(i), self.gamma[i % features], self.beta[i % features]);
            gamma * gamma * square + 2.0 * gamma * beta * mean + beta * beta
        };
        let image = |first: usize| {
            let sum: f64 = (first..first + features).map(square).sum();
            1.0 / (sum / features as f64 + eps).sqrt()
        };
        self.layer = Some((0..self.mean.len()).step_by(features).map(image).collect());
    }

    /// The factor of an image.
    fn layer(&self, image: usize) -> f64 {
        self.layer.as_ref().map_or(1.0, |layer| layer[image])
    }

    /// Slope and shift of y = slope (x - mean) + shift.
    pub fn map(&self) -> (Vec<f64>, Vec<f64>) {
        let features = self.gamma.len();
        let at = |(i, scale): (usize, &f64)| {
            let (layer, c) = (self.layer(i / features), i % features);
            (layer * self.gamma[c] * scale, layer * self.beta[c])
        };
        self.scale.iter().enumerate().map(at).unzip()
    }

    /// The backward pass, given Σ g and Σ g (x - mean).
    pub fn gradient(&self, g: &[f64], gx: &[f64], control: &mut Control) -> Flow {
        let features = self.gamma.len();
        let empty = || vec![0.0; features];
        let mut flow = Flow { b: vec![0.0; g.len()], d: vec![0.0; g.len()], parameters: [empty(), empty()] };
        for first in (0..g.len()).step_by(features) {
            let share = self.shared(first, g, gx);
            (0..features)
                .for_each(|c| self.channel(first + c, c, share, [g[first + c], gx[first + c]], control, &mut flow));
        }
        flow
    }

    /// L² mean(g y) of an image: layer scaling's dy is L g - L² mean(g y) (gamma x̂ + beta), y being its result.
    fn shared(&self, first: usize, g: &[f64], gx: &[f64]) -> f64 {
        let Some(layer) = &self.layer else { return 0.0 };
        let (features, layer) = (self.gamma.len(), layer[first / self.gamma.len()]);
        let along = |c: usize| self.gamma[c] * gx[first + c] * self.scale[first + c] + self.beta[c] * g[first + c];
        layer.powi(3) * (0..features).map(along).sum::<f64>() / (features as f64 * self.pixels)
    }

    /// One image's channel: dx = (gamma dy - gain vc x̂)/s - gain uc, then uc and vc are updated.
    fn channel(&self, i: usize, c: usize, share: f64, [g, gx]: [f64; 2], control: &mut Control, flow: &mut Flow) {
        let Control { mean: uc, cov: vc, gain } = control;
        let ((mean, square), scale, layer) = (self.standard(i), self.scale[i], self.layer(i / self.gamma.len()));
        let (gamma, beta, taken) = (self.gamma[c], self.beta[c], share * self.pixels);
        let total = layer * g - taken * (gamma * mean + beta);
        let along = layer * gx * scale - taken * (gamma * square + beta * mean);
        flow.parameters[0][c] += along;
        flow.parameters[1][c] += total;
        flow.b[i] = -scale * scale * (gamma * gamma * share + *gain * vc[c]);
        flow.d[i] = -scale * gamma * beta * share - *gain * uc[c];
        let mean_g = gamma * total / self.pixels - *gain * vc[c] * mean;
        let mean_gx = gamma * along / self.pixels - *gain * vc[c] * square;
        uc[c] += scale * mean_g - *gain * uc[c];
        vc[c] += mean_gx;
    }
}
