//! Named streams of random numbers: one seed, one independent ChaCha8 generator per purpose.
//!
//! candle's CPU device cannot be seeded, so every random number of a run comes from here. A stream is named
//! (`"init/conv1.weight"`, `"order/3"`, `"augment/3/17"`), so that drawing more numbers from one never changes another,
//! and a run can resume at any point without replaying what came before.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A generator for one purpose; see [`stream`].
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

/// The stream `name` of `seed`: ChaCha8, keyed with the BLAKE3 hash of `"mbn/<seed>/<name>"`.
pub fn stream(seed: u64, name: &str) -> Stream {
    let key = blake3::hash(format!("mbn/{seed}/{name}").as_bytes());
    Stream(ChaCha8Rng::from_seed(*key.as_bytes()))
}

impl Stream {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in 0..bound without modulo bias (Lemire's multiplication with rejection); 0 for bound 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound == 0 {
            return 0;
        }
        loop {
            let wide = u128::from(self.bits()) * u128::from(bound);
            if (wide as u64) >= bound.wrapping_neg() % bound {
                return (wide >> 64) as usize;
            }
        }
    }

    /// Standard normal, by the cosine branch of the Box-Muller transform.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// True with probability one half.
    pub fn coin(&mut self) -> bool {
        self.bits() >> 63 == 1
    }

    /// Fisher-Yates shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_fixed_and_independent() {
        let draw = |seed, name| stream(seed, name).bits();
        assert_eq!(draw(0, "order/0"), draw(0, "order/0"));
        assert_ne!(draw(0, "order/0"), draw(1, "order/0"));
        assert_ne!(draw(0, "order/0"), draw(0, "order/1"));
    }

    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let mut s = stream(7, "test");
        let n = 40_000;
        let (mut sum, mut square, mut counts) = (0.0, 0.0, [0usize; 3]);
        for _ in 0..n {
            let z = s.normal();
            sum += z;
            square += z * z;
            counts[s.below(3)] += 1;
        }
        assert!((sum / n as f64).abs() < 0.02);
        assert!((square / n as f64 - 1.0).abs() < 0.03);
        assert!(counts.iter().all(|&c| (c as f64 - n as f64 / 3.0).abs() < 400.0), "{counts:?}");
    }

    #[test]
    fn a_shuffle_is_a_permutation() {
        let mut items: Vec<usize> = (0..100).collect();
        stream(1, "shuffle").shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
