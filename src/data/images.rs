//! Labelled images, stored as bytes.

use std::path::Path;

use crate::data::Bytes;
use crate::text::count;
use crate::{Error, Result};

const NONE: &str = "holds no images";

/// Checks that the labels are those of `classes` classes.
///
/// # Errors
/// The first that is not, and what that most likely means.
pub(super) fn check_labels(labels: &[u8], classes: usize) -> std::result::Result<(), String> {
    let Some(i) = labels.iter().position(|&label| usize::from(label) >= classes) else { return Ok(()) };
    let range = labels.iter().min().zip(labels.iter().max());
    let hint = match range.map(|(least, most)| (usize::from(*least), usize::from(*most))) {
        Some((1, most)) if most == classes => "these start at 1, so subtract 1 from each",
        _ => "these may be of another data set",
    };
    Err(format!("label {} of image {i} is not below {classes}: labels are 0 to {}; {hint}", labels[i], classes - 1))
}

/// Labelled images of one size. They stay bytes, in place in a mapped file where it stores them uncompressed; only a
/// batch at a time is converted to floating point.
#[derive(Debug, Clone)]
pub struct Images {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// N class indices.
    pub labels: Vec<u8>,
    /// The images in order.
    blocks: Vec<Block>,
}

/// Images at equal intervals in some bytes.
#[derive(Debug, Clone)]
struct Block {
    /// Index of its first image.
    first: usize,
    bytes: Bytes,
    /// Bytes before the pixels of each image.
    before: usize,
}

impl Images {
    /// Images and labels read from `path`: N·C·H·W bytes, image by image, plane by plane, row by row.
    ///
    /// # Errors
    /// There are no images, the byte count is not N·C·H·W, or a label is not below `classes`.
    pub fn new(
        path: &Path,
        shape: [usize; 3],
        classes: usize,
        pixels: impl Into<Bytes>,
        labels: Vec<u8>,
    ) -> Result<Self> {
        let (pixels, size) = (pixels.into(), shape.iter().product::<usize>());
        if labels.is_empty() {
            return Err(Error::data(path, NONE));
        }
        if pixels.len() != labels.len() * size {
            let (n, labelled) = (labels.len(), count(labels.len(), "label"));
            return Err(Error::data(path, format!("{} pixel bytes for {labelled}: not {n} x {size}", pixels.len())));
        }
        check_labels(&labels, classes).map_err(|why| Error::data(path, why))?;
        Ok(Self::at_intervals(shape, pixels, 0, labels))
    }

    /// Images in `bytes`, with `before` other bytes before each of them.
    pub(super) fn at_intervals(shape: [usize; 3], bytes: impl Into<Bytes>, before: usize, labels: Vec<u8>) -> Self {
        Self { shape, labels, blocks: vec![Block { first: 0, bytes: bytes.into(), before }] }
    }

    /// The images of all `parts`, read from the folder `path`.
    ///
    /// # Errors
    /// There are none.
    pub(super) fn joined(path: &Path, shape: [usize; 3], parts: Vec<Self>) -> Result<Self> {
        let mut all = Self { shape, labels: vec![], blocks: vec![] };
        for Self { labels, blocks, .. } in parts {
            let first = all.len();
            all.blocks.extend(blocks.into_iter().map(|block| Block { first: first + block.first, ..block }));
            all.labels.extend(labels);
        }
        if all.is_empty() { Err(Error::data(path, NONE)) } else { Ok(all) }
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
        let label = *self.labels.get(i)?;
        let Block { first, bytes, before } =
            self.blocks.get(self.blocks.partition_point(|block| block.first <= i).checked_sub(1)?)?;
        let size = self.shape.iter().product::<usize>();
        let start = (i - first).checked_mul(before + size)?.checked_add(*before)?;
        Some((bytes.get(start..start.checked_add(size)?)?, label))
    }

    /// The bytes and labels of all images.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u8)> {
        (0..self.len()).map_while(|i| self.get(i))
    }

    /// Checks that the files that hold the images have not been modified since they were opened.
    ///
    /// # Errors
    /// One of them has been modified.
    pub fn check_unchanged(&self) -> Result<()> {
        self.blocks.iter().try_for_each(|block| block.bytes.check_unchanged())
    }

    /// Number of images of each class, for at least `classes` classes.
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
        let planes = self.iter().flat_map(|(image, _)| image.chunks_exact((height * width).max(1)).enumerate());
        for (channel, plane) in planes {
            let (sum, square) = &mut sums[channel];
            // Chunks whose sums fit into 32 bits, which is fastest.
            for chunk in plane.chunks(1 << 16) {
                *sum += u64::from(chunk.iter().map(|&p| u32::from(p)).sum::<u32>());
                *square += u64::from(chunk.iter().map(|&p| u32::from(p) * u32::from(p)).sum::<u32>());
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

impl PartialEq for Images {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.labels == other.labels && self.iter().eq(other.iter())
    }
}

impl Eq for Images {}
