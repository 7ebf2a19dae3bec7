//! How many of the newest batches a memory pools, and with which weights.

/// How far a memory goes back, and how fast the weights fall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Length {
    reach: Reach,
    /// Weight relative to the next newer batch (image, if the reach counts those); none for one that follows from [`FADED`].
    decay: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reach {
    Batches(usize),
    /// As many batches as hold `samples` images and `values` values per channel.
    Images {
        samples: usize,
        values: usize,
    },
}

/// A batch's images, and the positions of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub images: usize,
    pub positions: usize,
}

/// The weight, relative to the newest, that a batch just beyond the memory would have where no decay is given.
const FADED: f64 = 0.25;

impl Length {
    /// `size` batches; a decay of 0 means none is given.
    pub fn batches(size: usize, decay: f64) -> Self {
        Self { reach: Reach::Batches(size), decay: Some(decay).filter(|d| *d > 0.0) }
    }

    /// As many batches, at least one, as hold `samples` images and `values` values per channel; a decay of 0 means none is given.
    pub fn images(samples: usize, values: usize, decay: f64) -> Self {
        Self { reach: Reach::Images { samples, values }, decay: Some(decay).filter(|d| *d > 0.0) }
    }

    /// The largest number of batches.
    pub fn capacity(&self) -> usize {
        match self.reach {
            Reach::Batches(count) => count,
            Reach::Images { samples, values } => samples.max(values),
        }
    }

    /// The number of batches like `batch`.
    pub fn of(&self, batch: Extent) -> usize {
        match self.reach {
            Reach::Batches(size) => size,
            Reach::Images { samples, values } => {
                let images = samples.max(values.div_ceil(batch.positions));
                ((images as f64 / batch.images as f64).round() as usize).max(1)
            }
        }
    }

    /// The weights a_i, summing to 1, of `batches` batches like `batch`.
    pub fn weights(&self, batches: usize, batch: Extent) -> Vec<f64> {
        let decay = match (self.reach, self.decay) {
            (Reach::Batches(_), Some(decay)) => decay,
            (Reach::Images { .. }, Some(decay)) => decay.powf(batch.images as f64),
            (_, None) => FADED.powf(1.0 / self.of(batch) as f64),
        };
        let mut weights: Vec<f64> = std::iter::successors(Some(1.0), |w| Some(w * decay)).take(batches).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        weights
    }
}
