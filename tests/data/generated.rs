//! `digits` and `shapes`: always the same images, equally many of each class.

use mbn::data::{Images, check, fetch, load};
use tempfile::tempdir;

use crate::fixture::{copied, source};

/// BLAKE3 of all pixels. If it changes, the data set is a new one, whose results are not comparable with earlier ones.
const CHECKSUMS: [(&str, &str, &str); 2] =
    [("digits", "fd040d89ff277ba7", "998c2a94bd5d2989"), ("shapes", "a6f48d874ed2d48e", "2ef2d78f223d6aeb")];

#[test]
fn the_images_are_these_on_any_number_of_threads() {
    let root = tempdir().unwrap();
    for (name, train, test) in CHECKSUMS {
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let data = pool.install(|| load(name, &source(root.path()))).unwrap();
            let hash = |images: &Images| blake3::hash(&copied(images)).to_hex()[..16].to_string();
            assert_eq!((&*hash(&data.train), &*hash(&data.test)), (train, test), "{name}");
        }
    }
}

#[test]
fn they_are_complete_balanced_and_have_the_constants_in_the_table() {
    let root = tempdir().unwrap();
    for (name, shape) in [("digits", [1, 28, 28]), ("shapes", [3, 32, 32])] {
        let report = check(name, &source(root.path())).unwrap();
        assert_eq!(report.remarks, Vec::<String>::new());
        assert_eq!((report.shape, &*report.origin), (shape, "generated"));
        assert_eq!(report.train.per_class, [600; 10]);
        assert_eq!(report.test.per_class, [200; 10]);
        assert_eq!(fetch(name, &source(root.path())).unwrap(), None);
    }
}

#[test]
fn no_test_image_is_a_training_image() {
    let root = tempdir().unwrap();
    for name in ["digits", "shapes"] {
        let data = load(name, &source(root.path())).unwrap();
        let of = |i: &mbn::data::Images| (0..i.len()).map(|k| i.get(k).unwrap().0.to_vec()).collect::<Vec<_>>();
        let all: std::collections::HashSet<_> = of(&data.train).into_iter().chain(of(&data.test)).collect();
        assert_eq!(all.len(), 8000);
    }
}
