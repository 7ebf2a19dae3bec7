//! Images as bytes, and the data set they make up.

use std::path::Path;

use crate::data::{Kind, Normalization};
use crate::{Error, Result};

/// Labelled images of one size. They stay bytes; a batch at a time becomes floating point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// N·C·H·W bytes: image by image, plane by plane, row by row.
    pub pixels: Vec<u8>,
    /// N class indices.
    pub labels: Vec<u8>,
}

impl Images {
    /// Images and labels read from `path`.
    ///
    /// # Errors
    /// Nothing at all, the byte count is not N·C·H·W, or a label is not below `classes`.
    pub fn new(path: &Path, shape: [usize; 3], classes: usize, pixels: Vec<u8>, labels: Vec<u8>) -> Result<Self> {
        let size = shape.iter().product::<usize>();
        if labels.is_empty() {
            return Err(Error::data(path, "holds no images"));
        }
        if pixels.len() != labels.len() * size {
            let n = labels.len();
            return Err(Error::data(path, format!("{} pixel bytes for {n} labels: not {n} x {size}", pixels.len())));
        }
        if let Some(i) = labels.iter().position(|&l| usize::from(l) >= classes) {
            return Err(Error::data(path, format!("label {} of image {i} is not below {classes}", labels[i])));
        }
        Ok(Self { shape, pixels, labels })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The C·H·W bytes of image `i`, and its label; `None` past the end.
    pub fn get(&self, i: usize) -> Option<(&[u8], u8)> {
        let size = self.shape.iter().product::<usize>();
        let start = i.checked_mul(size)?;
        Some((self.pixels.get(start..start.checked_add(size)?)?, *self.labels.get(i)?))
    }

    /// Images of each class, for at least `classes` classes.
    pub fn per_class(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes.max(self.labels.iter().max().map_or(0, |&l| usize::from(l) + 1))];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// Mean and (biased) standard deviation of pixel/255 per channel, from exact integer sums.
    pub fn moments(&self) -> (Vec<f32>, Vec<f32>) {
        let [channels, height, width] = self.shape;
        let mut sums = vec![(0u64, 0u64); channels];
        for (i, plane) in self.pixels.chunks_exact((height * width).max(1)).enumerate() {
            let (sum, square) = &mut sums[i % channels];
            // Runs whose sums fit into 32 bits, in which they are fastest taken.
            for run in plane.chunks(1 << 16) {
                *sum += u64::from(run.iter().map(|&p| u32::from(p)).sum::<u32>());
                *square += u64::from(run.iter().map(|&p| u32::from(p) * u32::from(p)).sum::<u32>());
            }
        }
        let count = (self.len() * height * width).max(1) as f64;
        sums.into_iter()
            .map(|(sum, square)| {
                let mean = sum as f64 / count;
                ((mean / 255.0) as f32, ((square as f64 / count - mean * mean).max(0.0).sqrt() / 255.0) as f32)
            })
            .unzip()
    }
}

/// The training and test images of a data set, and where they came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splits {
    /// Training images.
    pub train: Images,
    /// Test images.
    pub test: Images,
    /// A path, a hub address, or `generated`.
    pub origin: String,
}

/// A data set in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its name in [`crate::data::DATASETS`].
    pub name: &'static str,
    /// Number of classes.
    pub classes: usize,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Training images.
    pub train: Images,
    /// Test images.
    pub test: Images,
    /// Mean of pixel/255 per channel over the training images, the customary constants.
    pub mean: Vec<f32>,
    /// Standard deviation of pixel/255 per channel over the training images, the customary constants.
    pub std: Vec<f32>,
    /// A path, a hub address, or `generated`.
    pub origin: String,
    /// What its images and labels are, however they are stored: 16 hexadecimal digits.
    pub digest: String,
    /// Deviations from the complete, published set that show without much computation, in words.
    pub remarks: Vec<String>,
}

impl Dataset {
    pub(super) fn new(kind: &Kind, splits: Splits, digest: String, remarks: Vec<String>) -> Self {
        Self {
            digest,
            remarks,
            name: kind.name,
            classes: kind.classes,
            shape: kind.shape,
            train: splits.train,
            test: splits.test,
            mean: kind.mean.to_vec(),
            std: kind.std.to_vec(),
            origin: splits.origin,
        }
    }

    /// The map from bytes to normalized floating point, for [`crate::data::gather`].
    pub fn normalization(&self) -> Normalization {
        Normalization::new(&self.mean, &self.std)
    }
}
