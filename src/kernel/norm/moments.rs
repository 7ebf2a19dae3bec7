//! Mean and sum of squared deviations per channel.

use super::{Terms, sums};
use crate::kernel::{Float, Kernel, Simd};

/// Mean and sum of squared deviations per channel of contiguous pixels.
pub struct Moments<'a, T> {
    /// The pixels.
    pub z: &'a [T],
    /// Channels of a pixel.
    pub channels: usize,
    /// C means, then C sums.
    pub out: &'a mut [f64],
}

/// Pixels summed in T before their sum is added in f64.
const CHUNK: usize = 1024;

impl<T: Float> Kernel<T> for Moments<'_, T> {
    fn check(&self) {
        assert_eq!(self.z.len() % self.channels, 0, "whole pixels");
        assert_eq!(self.out.len(), 2 * self.channels, "a mean and a sum per channel");
    }

    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(self) {
        let channels = self.channels;
        let pixels = self.z.len() / channels;
        for c in (0..channels).step_by(S::LANES) {
            let n = S::LANES.min(channels - c);
            let mut mean = [0.0; 16];
            let mut first = 0;
            while first < pixels {
                let count = CHUNK.min(pixels - first);
                let z = self.z.as_ptr().add(first * channels + c);
                let sums = sums::<S, 1>(count, Values { z, channels, n });
                (0..n).for_each(|i| mean[i] += sums[0][i].to_f64());
                first += count;
            }
            mean.iter_mut().for_each(|m| *m /= pixels as f64);
            // Deviations are taken from the mean rounded to T; the sums are corrected for that rounding at the end.
            let mut rounded = [T::ZERO; 16];
            (0..n).for_each(|i| rounded[i] = T::from_f64(mean[i]));
            let about = S::load(rounded.as_ptr());
            let (mut total, mut squares) = ([0.0; 16], [0.0; 16]);
            first = 0;
            while first < pixels {
                let count = CHUNK.min(pixels - first);
                let z = self.z.as_ptr().add(first * channels + c);
                let sums = sums::<S, 2>(count, Deviations { z, channels, n, about });
                for i in 0..n {
                    total[i] += sums[0][i].to_f64();
                    squares[i] += sums[1][i].to_f64();
                }
                first += count;
            }
            for i in 0..n {
                let off = total[i] / pixels as f64;
                self.out[c + i] = rounded[i].to_f64() + off;
                self.out[channels + c + i] = (squares[i] - total[i] * off).max(0.0);
            }
        }
    }
}

/// z
struct Values<S: Simd> {
    z: *const S::T,
    channels: usize,
    n: usize,
}

impl<S: Simd> Terms<S, 1> for Values<S> {
    #[inline(always)]
    unsafe fn at(&self, pixel: usize) -> [S::V; 1] {
        [S::load_n(self.z.add(pixel * self.channels), self.n)]
    }
}

/// z - mean and its square.
struct Deviations<S: Simd> {
    z: *const S::T,
    channels: usize,
    n: usize,
    about: S::V,
}

impl<S: Simd> Terms<S, 2> for Deviations<S> {
    #[inline(always)]
    unsafe fn at(&self, pixel: usize) -> [S::V; 2] {
        let d = S::sub(S::load_n(self.z.add(pixel * self.channels), self.n), self.about);
        [d, S::mul(d, d)]
    }
}
