//! Measuring a data set on this machine and comparing it with the published one.

use serde::Serialize;

use crate::Result;
use crate::data::{Images, Kind, Source, find, load};
use crate::text::count;

/// Largest deviation of a complete set's measured mean or standard deviation from the customary constant.
const TOLERANCE: f32 = 2e-3;

/// Larger, because the constants are those of the training images, and there are fewer test images.
const TEST_TOLERANCE: f32 = 5.0 * TOLERANCE;

/// The measurements of one split of a data set.
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

/// The measurements of a data set, and how it deviates from the published one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Data set.
    pub name: &'static str,
    /// Where it was found: a path, a hub address, or `generated`.
    pub origin: String,
    /// Digest of its images and labels, independent of how they are stored.
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

/// Deviations from the complete, published set in number, mean and standard deviation, in words.
pub(super) fn remarks(kind: &Kind, train: &Images, test: &Images) -> Vec<String> {
    let mut remarks = Vec::new();
    for (part, images, complete, tolerance) in
        [("train", train, kind.counts[0], TOLERANCE), ("test", test, kind.counts[1], TEST_TOLERANCE)]
    {
        let found = images.len();
        if found != complete {
            remarks.push(format!("{part}: {}, the complete set has {complete}", count(found, "image")));
        }
        // Fewer images deviate more by chance.
        let tolerance = tolerance * (complete as f32 / found.max(1) as f32).sqrt().max(1.0);
        let (mean, std) = images.moments();
        for (what, found, constant) in [("mean", mean, kind.mean), ("std", std, kind.std)] {
            if found.iter().zip(constant).any(|(a, b)| (a - b).abs() > tolerance) {
                remarks.push(format!(
                    "{part}: {what} {found:.4?} is not that of {} ({constant:.4?}); these may be other images",
                    kind.name
                ));
            }
        }
    }
    remarks
}
