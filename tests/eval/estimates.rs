//! Statistics estimated over images, against the statistics they estimate.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use mbn::data::{Images, Normalization};
use mbn::model::{Network, Store, Task};
use mbn::norm::{Moments, Norm, NormSpec, Pass};
use mbn::ops;
use mbn::train::{Part, observe, precise};
use toml::Table;

const SIDE: usize = 16;

fn network(norm: &str) -> Network {
    let task = Task { shape: [1, SIDE, SIDE], classes: 10 };
    let spec = NormSpec::new(norm, &Table::new()).unwrap();
    Network::new("lenet", task, &spec, Store::fresh(3), DType::F32, &Device::Cpu).unwrap()
}

/// Images of different brightness.
fn images(count: usize) -> Images {
    let mut stream = mbn::rng::stream(1, "pictures");
    let mut pixel = |i: usize| 20 * (i / (SIDE * SIDE) % 7) + stream.below(100);
    let pixels: Vec<u8> = (0..count * SIDE * SIDE).map(&mut pixel).map(|p| p as u8).collect();
    Images::new(Path::new("memory"), [1, SIDE, SIDE], 10, pixels, vec![0; count]).unwrap()
}

fn with_part<R>(images: &Images, body: impl FnOnce(Part) -> R) -> R {
    let indices: Vec<u32> = (0..images.len() as u32).collect();
    let normalization = Normalization::new(&[0.4], &[0.2]);
    body(Part { images, normalization: &normalization, indices: &indices, device: &Device::Cpu })
}

fn host(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "entry {i}: got {g}, want {w} (scale {scale})");
    }
}

/// The output of the first layer's normalizer for `z`.
fn first(network: &Network) -> Arc<dyn Norm> {
    network.norms()[0].norm.clone()
}

#[test]
fn evalnorm_normalizes_an_image_as_the_batches_that_have_it_do_on_average() {
    let images = images(5);
    for count in [1usize, 2, 3] {
        with_part(&images, |part| {
            let network = network("bn");
            let weight = network.tensors().remove("conv1.weight").unwrap();
            let z = ops::conv2d(&part.batch(0, 5).unwrap().x, &weight, 1, 0).unwrap();
            let population = precise::population(&network, part).unwrap();
            let (statistics, weighed) = observe::evalnorm(&network, part, &population, count).unwrap();
            assert_eq!(weighed, Pass::Weighed { weight: 1.0 / count as f64 });
            precise::set(&network, &statistics).unwrap();
            let got = first(&network).forward(&z, weighed).unwrap();
            // Every batch of `count` images, drawn one by one, whose first is the image.
            let companions = 5usize.pow(count as u32 - 1);
            for image in 0..5u32 {
                let mut mean = [0.0; 20];
                let mut var = [0.0; 20];
                for others in 0..companions as u32 {
                    let drawn = (0..count as u32 - 1).map(|k| others / 5u32.pow(k) % 5);
                    let indices: Vec<u32> = std::iter::once(image).chain(drawn).collect();
                    let batch = z.index_select(&Tensor::new(indices, &Device::Cpu).unwrap(), 0).unwrap();
                    let of = ops::moments(&batch.to_dtype(DType::F64).unwrap(), ops::Granularity::Channel).unwrap();
                    mean.iter_mut().zip(host(&of.mean)).for_each(|(sum, v)| *sum += v / companions as f64);
                    var.iter_mut().zip(host(&of.var)).for_each(|(sum, v)| *sum += v / companions as f64);
                }
                let (x, y) = (host(&z.get(image as usize).unwrap()), host(&got.get(image as usize).unwrap()));
                let positions = x.len() / 20;
                let at = |i: usize| (x[i] - mean[i / positions]) / (var[i / positions] + 1e-5).sqrt();
                assert_close(&y, &(0..x.len()).map(at).collect::<Vec<_>>(), 1e-4);
            }
        });
    }
}

/// The input of each layer for all images, in inference.
fn seen(network: &Network, part: Part) -> Vec<Moments> {
    network.forward(&part.batch(0, part.indices.len()).unwrap().x, Pass::Observe).unwrap();
    network.norms().iter().map(|layer| layer.norm.affine().seen().unwrap().over_images().unwrap()).collect()
}

#[test]
fn statistics_taken_layer_by_layer_are_those_of_the_network_that_infers_with_them() {
    // More than a batch of evaluation.
    let images = images(300);
    for norm in ["bn", "mbn", "mabn"] {
        with_part(&images, |part| {
            let network = network(norm);
            let before = network.tensors();
            let layered = observe::layer_by_layer(&network, part).unwrap();
            let after = network.tensors();
            assert!(before.iter().all(|(name, tensor)| host(tensor) == host(&after[name])), "{norm}");
            precise::set(&network, &layered).unwrap();
            for (layer, want) in seen(&network, part).iter().zip(&layered) {
                let want = want.as_ref().unwrap();
                assert_close(&host(&layer.mean), &host(&want.mean), 1e-4);
                assert_close(&host(&layer.var), &host(&want.var), 1e-4);
            }
            // Pooled over batches, they are those of the first layer only.
            let pooled = precise::population(&network, part).unwrap();
            precise::set(&network, &pooled).unwrap();
            let pooled = network.norms().iter().map(|layer| host(&layer.norm.inference().unwrap().var));
            let layered = layered.iter().map(|layer| host(&layer.as_ref().unwrap().var));
            let apart = |(a, b): (Vec<f64>, Vec<f64>)| a.iter().zip(&b).map(|(a, b)| (a / b - 1.0).abs()).sum::<f64>();
            let apart: Vec<f64> = pooled.zip(layered).map(apart).collect();
            assert!(apart[0] < 1e-3 && apart[2] > 1e-2, "{norm}: {apart:?}");
        });
    }
}
