//! Online Normalization by its definition, image by image and value by value, both passes over several steps.

use candle_core::{Tensor, Var};
use mbn::norm::{Norm, Pass};

use crate::support::{assert_close, data, host, layer};

const EPS: f64 = 1e-5;
const AF: f64 = 0.9;
const AB: f64 = 0.8;

fn gamma(c: usize) -> f64 {
    0.7 + 0.3 * c as f64
}

fn beta(c: usize) -> f64 {
    -0.2 + 0.3 * c as f64
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    sum / count
}

/// What a channel remembers: mu, v, uc and vc.
#[derive(Clone, Copy)]
struct Channel([f64; 4]);

/// An image after its forward pass: x̂ and s for each channel, y, and the factor of layer scaling.
struct Image {
    standard: Vec<Vec<f64>>,
    s: Vec<f64>,
    y: Vec<f64>,
    layer: f64,
}

struct Reference {
    channels: Vec<Channel>,
    scaling: bool,
}

impl Reference {
    fn forward(&mut self, x: &[f64], train: bool) -> Image {
        let plane = x.len() / self.channels.len();
        let (mut standard, mut s, mut y) = (vec![], vec![], vec![]);
        for (c, (channel, x)) in self.channels.iter_mut().zip(x.chunks_exact(plane)).enumerate() {
            let [mu, v, ..] = &mut channel.0;
            let root = (*v + EPS).sqrt();
            let hat: Vec<f64> = x.iter().map(|x| (x - *mu) / root).collect();
            y.extend(hat.iter().map(|hat| gamma(c) * hat + beta(c)));
            if train {
                let m = mean(x.iter().copied());
                let var = mean(x.iter().map(|x| (x - m).powi(2)));
                *v = AF * *v + (1.0 - AF) * var + AF * (1.0 - AF) * (m - *mu).powi(2);
                *mu = AF * *mu + (1.0 - AF) * m;
            }
            standard.push(hat);
            s.push(root);
        }
        let layer = if self.scaling { 1.0 / (mean(y.iter().map(|y| y * y)) + EPS).sqrt() } else { 1.0 };
        y.iter_mut().for_each(|y| *y *= layer);
        Image { standard, s, y, layer }
    }

    /// dx, and the gradients of gamma and beta.
    fn backward(&mut self, image: &Image, g: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let projection = if self.scaling { mean(g.iter().zip(&image.y).map(|(g, y)| g * y)) } else { 0.0 };
        let dy: Vec<f64> = g.iter().zip(&image.y).map(|(g, y)| image.layer * (g - y * projection)).collect();
        let plane = dy.len() / self.channels.len();
        let (mut dx, mut dgamma, mut dbeta) = (vec![], vec![], vec![]);
        for (c, (channel, dy)) in self.channels.iter_mut().zip(dy.chunks_exact(plane)).enumerate() {
            let ([_, _, uc, vc], hat) = (&mut channel.0, &image.standard[c]);
            dgamma.push(dy.iter().zip(hat).map(|(dy, hat)| dy * hat).sum());
            dbeta.push(dy.iter().sum());
            let first: Vec<f64> = dy.iter().zip(hat).map(|(dy, hat)| gamma(c) * dy - (1.0 - AB) * *vc * hat).collect();
            *vc += mean(first.iter().zip(hat).map(|(g, hat)| g * hat));
            let second: Vec<f64> = first.iter().map(|g| g / image.s[c] - (1.0 - AB) * *uc).collect();
            *uc += mean(second.iter().copied());
            dx.extend(second);
        }
        (dx, dgamma, dbeta)
    }
}

/// Output and the gradients of input, gamma and beta.
fn train(norm: &dyn Norm, x: &Tensor, g: &Tensor) -> [Vec<f64>; 4] {
    let x = Var::from_tensor(x).unwrap();
    let y = norm.forward(&x, Pass::Train).unwrap();
    let grads = (&y * g).unwrap().sum_all().unwrap().backward().unwrap();
    let of = |t: &Tensor| host(grads.get(t).unwrap());
    let parameters = norm.parameters();
    [host(&y.detach()), of(&x), of(&parameters[0]), of(&parameters[1])]
}

fn add(sums: &mut [f64], values: &[f64]) {
    sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
}

#[test]
fn online_normalization_is_its_definition_image_by_image() {
    for (shape, compensation) in
        [(&[3usize, 4, 2, 2][..], "ls"), (&[3, 4, 2, 2], "none"), (&[2, 4], "ls"), (&[1, 4], "none")]
    {
        let params = format!("decay = {AF}\ngrad_decay = {AB}\ncompensation = \"{compensation}\"");
        let norm = layer("online", &params, 4);
        let channels = vec![Channel([0.0, 1.0, 0.0, 0.0]); 4];
        let mut reference = Reference { channels, scaling: compensation == "ls" };
        for step in 0..5 {
            let (x, g) = (data(shape, step), data(shape, 20 + step));
            let [y, dx, dgamma, dbeta] = train(norm.as_ref(), &x, &g);
            let (x, g) = (host(&x), host(&g));
            let size = x.len() / shape[0];
            let images: Vec<Image> = x.chunks_exact(size).map(|x| reference.forward(x, true)).collect();
            let (mut want_dx, mut want_gamma, mut want_beta) = (vec![], [0.0; 4], [0.0; 4]);
            for (image, g) in images.iter().zip(g.chunks_exact(size)) {
                let (dx, dgamma, dbeta) = reference.backward(image, g);
                want_dx.extend(dx);
                add(&mut want_gamma, &dgamma);
                add(&mut want_beta, &dbeta);
            }
            assert_close(&y, &images.iter().flat_map(|image| image.y.clone()).collect::<Vec<_>>(), 1e-12);
            assert_close(&dx, &want_dx, 1e-11);
            assert_close(&dgamma, &want_gamma, 1e-11);
            assert_close(&dbeta, &want_beta, 1e-11);
        }
        let x = data(shape, 9);
        let y = host(&norm.forward(&x, Pass::Eval).unwrap());
        let x = host(&x);
        let want = x.chunks_exact(x.len() / shape[0]).flat_map(|x| reference.forward(x, false).y).collect::<Vec<_>>();
        assert_close(&y, &want, 1e-12);
    }
}

#[test]
fn a_batch_and_its_images_one_by_one_are_the_same() {
    let (whole, single) = (layer("online", "", 4), layer("online", "", 4));
    let shape = [3, 4, 2, 2];
    for step in 0..3 {
        let (x, g) = (data(&shape, step), data(&shape, 20 + step));
        let [y, dx, ..] = train(whole.as_ref(), &x, &g);
        for image in 0..3 {
            let of = |t: &Tensor| t.narrow(0, image, 1).unwrap().contiguous().unwrap();
            let [own_y, own_dx, ..] = train(single.as_ref(), &of(&x), &of(&g));
            assert_close(&own_y, &y[16 * image..][..16], 1e-12);
            assert_close(&own_dx, &dx[16 * image..][..16], 1e-12);
        }
    }
}
