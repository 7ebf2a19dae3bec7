//! Means and variances, as layers and kernels exchange them.

use candle_core::{Result, Tensor};

use super::{Groups, from_host, own_kernel, to_host};

/// What a statistic is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// All images and positions of a channel: shape (C).
    Channel,
    /// The positions of a channel of one image: shape (N,C).
    Image,
}

/// Mean and variance per channel, shape (C), or per image and channel, shape (N,C).
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean.
    pub mean: Tensor,
    /// Variance; biased (divided by n) unless said otherwise.
    pub var: Tensor,
}

impl Moments {
    /// The same values in storage of their own.
    pub fn copy(&self) -> Result<Self> {
        Ok(Self { mean: self.mean.copy()?, var: self.var.copy()? })
    }

    /// Mean and mean of squares.
    pub fn raw(&self) -> Result<(Tensor, Tensor)> {
        Ok((self.mean.clone(), (&self.var + self.mean.sqr()?)?))
    }

    /// Means and variances as numbers. Waits for the device.
    pub fn to_host(&self) -> Result<[Vec<f64>; 2]> {
        Ok([to_host(&self.mean)?, to_host(&self.var)?])
    }

    /// The moments of all images together, (C), from each image's, (N,C) (law of total variance).
    pub fn over_images(&self) -> Result<Self> {
        let (n, c) = self.mean.dims2()?;
        if own_kernel(&self.mean) {
            let [mut mean, mut var] = self.to_host()?;
            Groups::new(n, n, 1).moments(c, &mut mean, &mut var);
            let first = |mut values: Vec<f64>| {
                values.truncate(c);
                from_host(values, c, &self.mean)
            };
            return Ok(Self { mean: first(mean)?, var: first(var)? });
        }
        let mean = self.mean.mean(0)?;
        let between = self.mean.broadcast_sub(&mean)?.sqr()?;
        Ok(Self { mean, var: (&self.var + between)?.mean(0)? })
    }
}
