//! Drawing for the generated data sets. It uses only additions, multiplications, divisions and square roots, which IEEE
//! 754 defines to the last bit, so the images are the same on every machine.

use rayon::prelude::*;

use crate::data::{Images, Kind, Splits};
use crate::rng::{Stream, stream};

/// The seed of every generated data set; independent of a run's seed, so that all runs see the same images.
const SEED: u64 = 0;

/// The training and test images of a generated set, as many as its [`Kind`] says.
pub(super) fn splits(kind: &Kind, draw: fn(usize, &mut Stream) -> Vec<u8>) -> Splits {
    let [train, test] = kind.counts;
    let part = |part: &str, count| generate(&format!("{}/{part}", kind.name), kind.shape, count, draw);
    Splits { train: part("train", train), test: part("test", test), origin: "generated".into() }
}

/// `count` images of ten classes in turn; image i is `draw(label, stream "<name>/<i>")`.
fn generate(name: &str, shape: [usize; 3], count: usize, draw: fn(usize, &mut Stream) -> Vec<u8>) -> Images {
    let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
    let images: Vec<Vec<u8>> = labels
        .par_iter()
        .enumerate()
        .map(|(i, &label)| draw(usize::from(label), &mut stream(SEED, &format!("{name}/{i}"))))
        .collect();
    Images::at_intervals(shape, images.concat(), 0, labels)
}

/// Uniform in [low, high).
pub(super) fn between(rng: &mut Stream, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.uniform() as f32
}

/// Roughly normal with mean 0 and standard deviation 1: the sum of three uniform numbers, so that no logarithm is needed.
pub(super) fn noise(rng: &mut Stream) -> f32 {
    let bits = rng.bits();
    let part = |shift: u32| ((bits >> shift) & 0xffff) as f32 / 32768.0 - 1.0;
    part(0) + part(16) + part(32)
}

/// A value in 0..=1 as a byte.
pub(super) fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

/// Cosine and sine of a random angle between -2·atan(`limit`) and 2·atan(`limit`), as rational functions of the half
/// angle's tangent.
pub(super) fn turn(rng: &mut Stream, limit: f32) -> (f32, f32) {
    let t = between(rng, -limit, limit);
    ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t))
}

/// Any direction, as cosine and sine.
pub(super) fn direction(rng: &mut Stream) -> (f32, f32) {
    let (c, s) = turn(rng, 1.0);
    if rng.coin() { (c, s) } else { (-c, -s) }
}
