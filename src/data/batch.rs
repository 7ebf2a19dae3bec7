//! From bytes to a batch: pad, crop, flip, normalize, in one pass over the pixels.

use candle_core::{Device, Result, Tensor, bail};
use rayon::prelude::*;

use crate::data::Images;
use crate::rng::stream;

/// Rows and columns added on each side before the random crop.
pub const PAD: usize = 4;

/// Below this many values a batch is assembled on the calling thread: waking others would take longer.
const PARALLEL: usize = 1 << 16;

/// Images and labels of one step.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Images (N,C,H,W), f32, normalized.
    pub x: Tensor,
    /// Labels (N), u32.
    pub y: Tensor,
}

impl Batch {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.y.elem_count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// (pixel/255 - mean)/std as a table of 256 entries per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization(Vec<[f32; 256]>);

impl Normalization {
    /// One mean and one standard deviation per channel, of pixel/255.
    pub fn new(mean: &[f32], std: &[f32]) -> Self {
        let table = |(mean, std): (&f32, &f32)| std::array::from_fn(|p| (p as f32 / 255.0 - mean) / std);
        Self(mean.iter().zip(std).map(table).collect())
    }
}

/// Random crops and flips of one epoch: each image's draw comes from the stream `augment/<epoch>/<index>` of the seed,
/// so it depends on neither the batch it is in, nor on threads, nor on where a run was resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augment {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: usize,
}

/// Position of the crop in the padded image, and whether it is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Crop {
    top: usize,
    left: usize,
    flip: bool,
}

impl Augment {
    fn crop(self, index: u32) -> Crop {
        let mut rng = stream(self.seed, &format!("augment/{}/{index}", self.epoch));
        Crop { top: rng.below(2 * PAD + 1), left: rng.below(2 * PAD + 1), flip: rng.coin() }
    }
}

/// The images at `indices` as a batch on `device`.
///
/// With `augment`, each is padded by [`PAD`] black pixels (before normalization, as `RandomCrop(32, padding=4)` on the
/// image does in torchvision), cut back to its size at a random place, and mirrored half the time.
///
/// # Errors
/// An index past the end, a normalization of another number of channels, or a device out of memory.
pub fn gather(
    images: &Images,
    indices: &[u32],
    normalization: &Normalization,
    augment: Option<Augment>,
    device: &Device,
) -> Result<Batch> {
    let [channels, height, width] = images.shape;
    if normalization.0.len() != channels {
        bail!("the images have {channels} channels, the normalization has {}", normalization.0.len())
    }
    let labelled = |&i: &u32| match images.get(i as usize) {
        Some((pixels, label)) => Ok((i, pixels, u32::from(label))),
        None => bail!("image {i} is out of range: there are {}", images.len()),
    };
    let entries = indices.iter().map(labelled).collect::<Result<Vec<_>>>()?;
    let size = channels * height * width;
    let mut x = vec![0f32; indices.len() * size];
    let fill = |(out, &(index, pixels, _)): (&mut [f32], &(u32, &[u8], u32))| {
        let planes = out.chunks_exact_mut(height * width).zip(pixels.chunks_exact(height * width));
        let crop = augment.map(|a| a.crop(index));
        for ((out, plane), table) in planes.zip(&normalization.0) {
            match crop {
                Some(crop) => cut(out, plane, width, table, crop),
                None => out.iter_mut().zip(plane).for_each(|(o, &p)| *o = table[usize::from(p)]),
            }
        }
    };
    if x.len() < PARALLEL {
        x.chunks_exact_mut(size).zip(&entries).for_each(fill);
    } else {
        x.par_chunks_exact_mut(size).zip(&entries).for_each(fill);
    }
    let y: Vec<u32> = entries.iter().map(|&(_, _, label)| label).collect();
    let shape = (indices.len(), channels, height, width);
    Ok(Batch { x: Tensor::from_vec(x, shape, device)?, y: Tensor::from_vec(y, indices.len(), device)? })
}

/// One plane, cropped from its padded version.
fn cut(out: &mut [f32], plane: &[u8], width: usize, table: &[f32; 256], crop: Crop) {
    let height = plane.len() / width;
    // Columns of the result that show the image rather than the padding; column `c` shows the image's
    // `c + left - PAD`.
    let (from, to) = (PAD.saturating_sub(crop.left).min(width), (width + PAD).saturating_sub(crop.left).min(width));
    out.fill(table[0]);
    for (r, row) in out.chunks_exact_mut(width).enumerate() {
        let Some(y) = (r + crop.top).checked_sub(PAD).filter(|&y| y < height) else { continue };
        let start = y * width + from + crop.left - PAD;
        for (out, &p) in row[from..to].iter_mut().zip(&plane[start..]) {
            *out = table[usize::from(p)];
        }
        if crop.flip {
            row.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_and_both_orientations_occur_equally_often() {
        let (mut tops, mut lefts, mut flips) = ([0; 9], [0; 9], 0);
        for index in 0..9000 {
            let crop = Augment { seed: 1, epoch: 2 }.crop(index);
            tops[crop.top] += 1;
            lefts[crop.left] += 1;
            flips += usize::from(crop.flip);
        }
        assert!(tops.iter().chain(&lefts).all(|&n| (850..1150).contains(&n)), "{tops:?} {lefts:?}");
        assert!((4300..4700).contains(&flips), "{flips}");
    }

    #[test]
    fn a_crop_is_the_padded_image_cut_and_mirrored() {
        let (height, width) = (3usize, 5usize);
        let plane: Vec<u8> = (1..=15).collect();
        let table: [f32; 256] = std::array::from_fn(|p| p as f32 - 100.0);
        let at = |y: isize, x: isize| {
            let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
            table[if inside { usize::from(plane[y as usize * width + x as usize]) } else { 0 }]
        };
        for (top, left, flip) in (0..9).flat_map(|t| (0..9).flat_map(move |l| [(t, l, false), (t, l, true)])) {
            let mut out = vec![f32::NAN; height * width];
            cut(&mut out, &plane, width, &table, Crop { top, left, flip });
            for (i, value) in out.iter().enumerate() {
                let (r, c) = (i / width, i % width);
                let c = if flip { width - 1 - c } else { c };
                let expected = at((r + top) as isize - PAD as isize, (c + left) as isize - PAD as isize);
                assert_eq!(*value, expected, "top {top} left {left} flip {flip} at {r},{c}");
            }
        }
    }
}
