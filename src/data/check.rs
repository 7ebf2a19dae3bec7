//! What a data set on this machine looks like, measured.

use serde::Serialize;

use crate::data::{find, load, Images, Source};
use crate::Result;

/// Largest deviation of a measured training mean or standard deviation from the customary constant.
const TOLERANCE: f32 = 2e-3;

/// The measurements of one part of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitReport {
    /// Number of pictures.
    pub count: usize,
    /// Pictures per class.
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
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The training pictures.
    pub train: SplitReport,
    /// The test pictures.
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
    let mut remarks = Vec::new();
    for (part, found, complete) in [("train", train.count, kind.counts[0]), ("test", test.count, kind.counts[1])] {
        if found != complete {
            remarks.push(format!("{part}: {found} pictures, the complete set has {complete}"));
        }
    }
    for (what, found, constant) in [("mean", &train.mean, kind.mean), ("std", &train.std, kind.std)] {
        if found.iter().zip(constant).any(|(a, b)| (a - b).abs() > TOLERANCE) {
            remarks.push(format!("train: {what} {found:.4?}, the set is known for {constant:.4?}"));
        }
    }
    Ok(Report { name: kind.name, origin: data.origin, shape: kind.shape, train, test, remarks })
}

fn measure(images: &Images, classes: usize) -> SplitReport {
    let (mean, std) = images.moments();
    SplitReport { count: images.len(), per_class: images.per_class(classes), mean, std }
}
