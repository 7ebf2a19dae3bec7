//! What a data set on this machine looks like, measured.

use serde::Serialize;

use crate::Result;
use crate::data::{Images, Kind, Source, find, load};

/// Largest deviation of a complete set's measured mean or standard deviation from the customary constant.
const TOLERANCE: f32 = 2e-3;

/// The test images are others than those the constants are of, and fewer.
const TEST_TOLERANCE: f32 = 5.0 * TOLERANCE;

/// The measurements of one part of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitReport {
    /// Number of images.
    pub count: usize,
    /// Images per class.
    pub per_class: Vec<usize>,
    /// Mean of pixel/255 per channel.
    pub mean: Vec<f32>,
    /// Standard deviation of pixel/255 per channel.
    pub std: Vec<f32>,
}

/// What was found, and what is odd about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Data set.
    pub name: &'static str,
    /// Where it was found: a path, a hub address, or `generated`.
    pub origin: String,
    /// What its images and labels are, however they are stored.
    pub digest: String,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The training images.
    pub train: SplitReport,
    /// The test images.
    pub test: SplitReport,
    /// Deviations from the complete, published set, in words; empty if there are none.
    pub remarks: Vec<String>,
}

/// Loads a data set, downloading it where necessary, and measures it.
///
/// # Errors
/// As [`load`].
pub fn check(name: &str, source: &Source) -> Result<Report> {
    let (kind, data) = (find(name)?, load(name, source)?);
    let (train, test) = (measure(&data.train, kind.classes), measure(&data.test, kind.classes));
    let remarks = remarks(kind, &data.train, &data.test);
    Ok(Report { name: kind.name, origin: data.origin, digest: data.digest, shape: kind.shape, train, test, remarks })
}

fn measure(images: &Images, classes: usize) -> SplitReport {
    let (mean, std) = images.moments();
    SplitReport { count: images.len(), per_class: images.per_class(classes), mean, std }
}

/// In what the images differ from the complete, published set: numbers, means and standard deviations.
pub(super) fn remarks(kind: &Kind, train: &Images, test: &Images) -> Vec<String> {
    let mut remarks = Vec::new();
    for (part, images, complete, tolerance) in
        [("train", train, kind.counts[0], TOLERANCE), ("test", test, kind.counts[1], TEST_TOLERANCE)]
    {
        let found = images.len();
        if found != complete {
            remarks.push(format!("{part}: {found} images, the complete set has {complete}"));
        }
        // The fewer, the more they may deviate by chance.
        let tolerance = tolerance * (complete as f32 / found.max(1) as f32).sqrt().max(1.0);
        let (mean, std) = images.moments();
        for (what, found, constant) in [("mean", mean, kind.mean), ("std", std, kind.std)] {
            if found.iter().zip(constant).any(|(a, b)| (a - b).abs() > tolerance) {
                remarks.push(format!(
                    "{part}: {what} {found:.4?} is not that of {} ({constant:.4?}): other images under its name?",
                    kind.name
                ));
            }
        }
    }
    remarks
}
