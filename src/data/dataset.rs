//! A loaded data set.

use crate::data::{Images, Kind, Normalization};

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

/// A loaded data set.
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
    /// Digest of its images and labels, independent of how they are stored: 16 hexadecimal digits.
    pub digest: String,
    /// Deviations from the complete, published set, in words; empty if there are none.
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

    /// The map from bytes to normalized floating-point values, for [`crate::data::gather`].
    pub fn normalization(&self) -> Normalization {
        Normalization::new(&self.mean, &self.std)
    }
}
