//! Splits, orders, and batches with and without augmentation.

use std::path::Path;

use candle_core::Device;
use mbn::data::{Augment, Images, Normalization, epoch_order, gather, split};

fn images(count: usize) -> Images {
    let pixels: Vec<u8> = crate::fixture::pixels(count * 3072, 0).iter().map(|&p| p.max(1)).collect();
    let labels = (0..count).map(|i| (i % 7) as u8).collect();
    Images::new(Path::new("memory"), [3, 32, 32], 7, pixels, labels).unwrap()
}

fn normalization() -> Normalization {
    Normalization::new(&[0.5, 0.25, 0.0], &[0.25, 0.5, 1.0])
}

fn values(indices: &[u32], augment: Option<Augment>) -> Vec<Vec<f32>> {
    let batch = gather(&images(40), indices, &normalization(), augment, &Device::Cpu).unwrap();
    assert_eq!(batch.x.dims(), [indices.len(), 3, 32, 32]);
    batch.x.flatten_from(1).unwrap().to_vec2().unwrap()
}

#[test]
fn a_split_is_disjoint_complete_sorted_and_made_by_the_seed() {
    let (train, val) = split(1000, 0.1, 3).unwrap();
    assert_eq!((train.len(), val.len()), (900, 100));
    assert!(train.is_sorted() && val.is_sorted());
    let mut all = [train, val.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, (0..1000).collect::<Vec<_>>());
    assert_eq!(split(1000, 0.1, 3).unwrap().1, val);
    assert_ne!(split(1000, 0.1, 4).unwrap().1, val);
    assert_eq!(split(5, 0.0, 0).unwrap(), (vec![0, 1, 2, 3, 4], vec![]));
    for (count, fraction) in [(10, 1.0), (10, -0.1), (10, f64::NAN), (10, 0.99), (0, 0.0)] {
        assert!(split(count, fraction, 0).unwrap_err().is_usage());
    }
}

#[test]
fn an_epochs_order_depends_on_seed_and_epoch_alone() {
    let indices: Vec<u32> = (0..100).map(|i| 2 * i).collect();
    let order = epoch_order(&indices, 1, 5);
    assert_eq!(order, epoch_order(&indices, 1, 5));
    assert_ne!(order, epoch_order(&indices, 1, 6));
    assert_ne!(order, epoch_order(&indices, 2, 5));
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert!(sorted == indices && order != indices);
}

#[test]
fn a_batch_is_normalized_and_labelled() {
    let images = images(40);
    let batch = gather(&images, &[39, 0], &normalization(), None, &Device::Cpu).unwrap();
    assert_eq!(batch.y.to_vec1::<u32>().unwrap(), [4, 0]);
    let x: Vec<f32> = batch.x.get(0).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    for (i, value) in x.iter().enumerate() {
        let (mean, std) = [(0.5, 0.25), (0.25, 0.5), (0.0, 1.0)][i / 1024];
        let expected = (f32::from(images.get(39).unwrap().0[i]) / 255.0 - mean) / std;
        assert!((value - expected).abs() < 1e-6, "{i}: {value} {expected}");
    }
}

#[test]
fn what_cannot_be_gathered_is_an_error() {
    let one_channel = Normalization::new(&[0.5], &[0.5]);
    assert!(gather(&images(3), &[0], &one_channel, None, &Device::Cpu).is_err());
    assert!(gather(&images(3), &[3], &normalization(), None, &Device::Cpu).is_err());
    assert!(gather(&images(3), &[u32::MAX], &normalization(), None, &Device::Cpu).is_err());
}

#[test]
fn an_images_crop_depends_on_seed_epoch_and_index_alone() {
    let augment = |seed, epoch| Some(Augment { seed, epoch });
    let all: Vec<u32> = (0..40).collect();
    let whole = values(&all, augment(1, 2));
    for chunk in [[7u32, 3].as_slice(), &[39], &[0, 1, 2, 3, 4]] {
        for (i, image) in chunk.iter().zip(values(chunk, augment(1, 2))) {
            assert_eq!(image, whole[*i as usize]);
        }
    }
    for other in [augment(2, 2), augment(1, 3), None] {
        assert_ne!(values(&all, other), whole);
    }
    for threads in [1, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| values(&all, augment(1, 2))), whole);
    }
}

/// Padding is pixel 0 before normalization; every image is a crop, mirrored or not, of its padded original.
#[test]
fn every_augmented_image_is_a_crop_of_its_padded_self() {
    let all: Vec<u32> = (0..40).collect();
    let plain = values(&all, None);
    let black = [-2.0f32, -0.5, 0.0];
    let mut seen = std::collections::HashSet::new();
    for epoch in 0..10 {
        for (plain, got) in plain.iter().zip(values(&all, Some(Augment { seed: 0, epoch }))) {
            let at = |c: usize, y: isize, x: isize| {
                let inside = (0..32).contains(&y) && (0..32).contains(&x);
                if inside { plain[c * 1024 + y as usize * 32 + x as usize] } else { black[c] }
            };
            let matches = |&(top, left, flip): &(isize, isize, bool)| {
                (0..3072).all(|i| {
                    let (c, y, x) = (i / 1024, (i / 32 % 32) as isize, (i % 32) as isize);
                    got[i] == at(c, y + top - 4, if flip { 31 - x } else { x } + left - 4)
                })
            };
            let crops = (0..9).flat_map(|t| (0..9).flat_map(move |l| [(t, l, false), (t, l, true)]));
            seen.insert(crops.into_iter().find(matches).expect("no crop of the image"));
        }
    }
    let distinct =
        |f: fn(&(isize, isize, bool)) -> isize| seen.iter().map(f).collect::<std::collections::HashSet<_>>().len();
    assert_eq!((distinct(|s| s.0), distinct(|s| s.1), distinct(|s| s.2.into())), (9, 9, 2));
}
