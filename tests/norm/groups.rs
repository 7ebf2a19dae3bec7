//! Groups of channels and of images: special cases that coincide, remainders, and gn-bn's inference by its definition.

use candle_core::{Tensor, Var};
use mbn::norm::{Norm, Pass};

use crate::support::{assert_close, data, host, layer, train};

/// Output, input gradient, and gradients of the parameters.
fn everything(norm: &dyn Norm, x: &Tensor, g: &Tensor) -> Vec<Vec<f64>> {
    let x = Var::from_tensor(x).unwrap();
    let y = norm.forward(x.as_tensor(), Pass::Train).unwrap();
    let grads = (&y * g).unwrap().sum_all().unwrap().backward().unwrap();
    let of = |t: &Tensor| host(grads.get(t).unwrap());
    let mut all = vec![host(&y.detach()), of(&x)];
    all.extend(norm.parameters().iter().map(of));
    all
}

fn assert_same(one: (&str, &str), other: (&str, &str), shape: &[usize]) {
    let (a, b) = (layer(one.0, one.1, 4), layer(other.0, other.1, 4));
    for step in 0..3 {
        let (x, g) = (data(shape, step), data(shape, 10 + step));
        let (got, want) = (everything(a.as_ref(), &x, &g), everything(b.as_ref(), &x, &g));
        for (got, want) in got.iter().zip(&want) {
            assert_close(got, want, 1e-11);
        }
    }
}

#[test]
fn one_group_is_layer_and_one_channel_instance_normalization() {
    for shape in [&[3usize, 4, 2, 3][..], &[1, 4, 2, 2]] {
        assert_same(("ln", ""), ("gn", "groups = 1"), shape);
        assert_same(("ln", ""), ("gn", "group_size = 4"), shape);
        assert_same(("in", ""), ("gn", "group_size = 1"), shape);
        assert_same(("in", ""), ("gn", "groups = 4"), shape);
    }
    assert_same(("ln", ""), ("gn", "groups = 1"), &[3, 4]);
}

#[test]
fn layer_and_instance_normalization_are_their_definitions() {
    let (x, eps) = (data(&[3, 4, 2, 3], 5), 1e-5);
    for (name, size) in [("ln", 24), ("in", 6)] {
        let y = host(&layer(name, "", 4).forward(&x, Pass::Eval).unwrap());
        for (group, values) in host(&x).chunks_exact(size).enumerate() {
            let mean = values.iter().sum::<f64>() / size as f64;
            let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / size as f64;
            for (i, value) in values.iter().enumerate() {
                let c = (group * size + i) / 6 % 4;
                let want = (0.7 + 0.3 * c as f64) * (value - mean) / (var + eps).sqrt() - 0.2 + 0.3 * c as f64;
                assert!((y[group * size + i] - want).abs() < 1e-12, "{name} {group} {i}");
            }
        }
    }
}

#[test]
fn the_whole_batch_by_channels_is_bn_and_single_images_are_gn() {
    for shape in [&[5usize, 4, 2, 3][..], &[5, 4], &[1, 4, 2, 2]] {
        assert_same(("gn-bn", "images = 64\ngroup_size = 1"), ("bn", ""), shape);
        assert_same(("gn-bn", "images = 1\ngroups = 2"), ("gn", "groups = 2"), shape);
    }
}

#[test]
fn a_remainder_is_a_smaller_group_but_no_single_image() {
    for (batch, images, runs) in [(7, 4, &[4, 3][..]), (5, 2, &[2, 3]), (6, 5, &[6]), (4, 2, &[2, 2]), (3, 8, &[3])] {
        let shape = [batch, 4, 2, 2];
        let (x, g) = (data(&shape, 1), data(&shape, 2));
        let params = format!("images = {images}\ngroup_size = 1");
        let (y, dx) = train(layer("gn-bn", &params, 4).as_ref(), &x, &g);
        let mut first = 0;
        for &size in runs {
            let run = |t: &Tensor| t.narrow(0, first, size).unwrap().contiguous().unwrap();
            let (want_y, want_dx) = train(layer("bn", "", 4).as_ref(), &run(&x), &run(&g));
            assert_close(&host(&run(&y)), &host(&want_y), 1e-12);
            assert_close(&host(&run(&dx)), &host(&want_dx), 1e-11);
            first += size;
        }
        assert_eq!(first, batch);
    }
}

/// Mean and mean square of images × two channels × four positions, for each group of channels.
fn raw(images: &[f64]) -> [[f64; 2]; 2] {
    [0, 1].map(|group| {
        let values = images.chunks_exact(16).flat_map(|image| &image[8 * group..][..8]);
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
        for v in values {
            (sum, squares, count) = (sum + v, squares + v * v, count + 1.0);
        }
        [sum / count, squares / count]
    })
}

#[test]
fn inference_mixes_running_averages_with_the_image_s_own_moments() {
    for weighing in [0.0, 0.3, 1.0] {
        let norm = layer("gn-bn", &format!("groups = 2\nmomentum = 0.2\nweighing = {weighing}"), 4);
        // E[x] and E[x²] of each group, starting from mean 0 and variance 1.
        let mut running = [[0.0, 1.0]; 2];
        for step in 0..4 {
            let x = data(&[3, 4, 2, 2], step);
            norm.forward(&x, Pass::Train).unwrap();
            let batch = raw(&host(&x));
            for (old, new) in running.iter_mut().flatten().zip(batch.into_iter().flatten()) {
                *old += 0.2 * (new - *old);
            }
        }
        let x = data(&[3, 4, 2, 2], 9);
        let y = host(&norm.forward(&x, Pass::Eval).unwrap());
        let x = host(&x);
        for (i, value) in x.iter().enumerate() {
            let (image, c) = (i / 16, i / 4 % 4);
            let own = raw(&x[16 * image..][..16])[c / 2];
            let mix = |k: usize| (1.0 - weighing) * running[c / 2][k] + weighing * own[k];
            let var = mix(1) - mix(0) * mix(0);
            let want = (0.7 + 0.3 * c as f64) * (value - mix(0)) / (var + 1e-5).sqrt() - 0.2 + 0.3 * c as f64;
            assert!((y[i] - want).abs() < 1e-11, "{weighing} {i}: {} {want}", y[i]);
        }
    }
}
