//! Activations, channels last, with room for a border of zeros.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Result, Shape, Tensor, bail};

use super::parallel::{Work, parallel};
use super::{Buffer, Sizes, Workspace};
use crate::kernel::transpose::Transpose;
use crate::kernel::{Float, Kernel, with_values};

/// Activations, or a gradient with respect to them: (N, border + H + border, border + W + border, C).
#[derive(Debug)]
pub struct Map<T: Float> {
    buffer: Buffer<T>,
    /// Its sizes.
    pub sizes: Sizes,
}

/// Some rows of one image, and the values that hold them.
pub struct Piece<'a, T> {
    /// The image.
    pub n: usize,
    /// The rows.
    pub rows: Range<usize>,
    /// The values; in a bordered map with the border rows and columns beside them.
    pub values: &'a mut [T],
}

impl<T: Float> Map<T> {
    /// A map of unspecified values, to be overwritten entirely, border included.
    pub fn new(sizes: Sizes, workspace: &Arc<Workspace<T>>) -> Self {
        Self { buffer: workspace.take(sizes.len()), sizes }
    }

    /// The values.
    pub fn values(&self) -> &[T] {
        &self.buffer
    }

    /// The values.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.buffer
    }

    /// The workspace its buffer comes from.
    pub fn workspace(&self) -> &Arc<Workspace<T>> {
        self.buffer.workspace()
    }

    /// The same values, without border before and after, as images of other sizes.
    pub fn reshaped(mut self, sizes: Sizes) -> Self {
        assert_eq!((self.sizes.len(), self.sizes.before + self.sizes.after), (sizes.len(), 0), "the same values");
        self.sizes = sizes;
        self
    }

    /// The values of one image.
    pub fn image(&self, n: usize) -> &[T] {
        &self.values()[n * self.sizes.image()..][..self.sizes.image()]
    }

    /// The images in pieces of up to `rows` rows, in order; the border belongs to the first and last rows.
    pub fn pieces(&mut self, rows: usize) -> Vec<Piece<'_, T>> {
        let s = self.sizes;
        let mut pieces = vec![];
        let mut rest = &mut self.buffer[..];
        for (n, rows) in s.cuts(rows) {
            let above = if rows.start == 0 { s.before } else { 0 };
            let below = if rows.end == s.h { s.after } else { 0 };
            let (values, others) = rest.split_at_mut((above + rows.len() + below) * s.row());
            rest = others;
            pieces.push(Piece { n, rows, values });
        }
        pieces
    }

    /// Sums over images and pixels, per channel.
    pub fn channel_sums(&self) -> Vec<f64> {
        let s = self.sizes;
        let mut sums = vec![0.0; s.c];
        for (n, y) in (0..s.n).flat_map(|n| (0..s.h).map(move |y| (n, y))) {
            for pixel in self.values()[s.at(n, y)..][..s.w * s.c].chunks_exact(s.c) {
                sums.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += v.to_f64());
            }
        }
        sums
    }

    /// Adds a map of the same sizes.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.sizes, other.sizes, "maps of the same sizes");
        let (sizes, work) = (self.sizes, Work::Values(self.values().len()));
        parallel(work, self.pieces(sizes.h), |_, piece| {
            piece.values.iter_mut().zip(other.image(piece.n)).for_each(|(sum, v)| *sum += *v);
        });
    }

    /// The same activations with that border.
    pub fn with_border(self, border: [usize; 2]) -> Self {
        match [self.sizes.before, self.sizes.after] == border {
            true => self,
            false => self.bordered(border),
        }
    }

    /// A copy with that border.
    pub fn bordered(&self, border: [usize; 2]) -> Self {
        let mut map = Self::new(self.sizes.bordered(border), self.workspace());
        let (from, to) = (self.sizes, map.sizes);
        for piece in map.pieces(to.h) {
            piece.values.fill(T::ZERO);
            for y in piece.rows {
                let row = &self.values()[from.at(piece.n, y)..][..from.w * from.c];
                piece.values[to.at(0, y)..][..row.len()].copy_from_slice(row);
            }
        }
        map
    }

    /// The activations of a tensor (N,C,H,W) or (N,C) on the CPU.
    pub fn from_tensor(x: &Tensor, border: [usize; 2], workspace: &Arc<Workspace<T>>) -> Result<Self> {
        let x = x.contiguous()?;
        let (n, c, h, w) = match *x.dims() {
            [n, c] => (n, c, 1, 1),
            [n, c, h, w] => (n, c, h, w),
            _ => bail!("the input has shape {:?}, expected (N,C,H,W) or (N,C)", x.dims()),
        };
        let mut map = Self::new(Sizes::new([n, h, w, c]).bordered(border), workspace);
        let sizes = map.sizes;
        with_values(&x, |x| {
            for (piece, x) in map.pieces(h).into_iter().zip(x.chunks_exact(c * h * w)) {
                if border != [0, 0] {
                    piece.values.fill(T::ZERO);
                }
                for y in 0..h {
                    let (from, to) = (&x[y * w..], &mut piece.values[sizes.at(0, y)..]);
                    Transpose { from, from_step: h * w, size: [c, w], to, to_step: c }.compute();
                }
            }
        })?;
        Ok(map)
    }

    /// Rows of features, (N,C), as a tensor.
    pub fn to_matrix(&self) -> Result<Tensor> {
        Tensor::from_slice(self.values(), (self.sizes.n, self.sizes.image()), &Device::Cpu)
    }

    /// Activations without border as a tensor of that shape, (N,C,H,W) or (N,C).
    pub fn to_tensor(&self, shape: &Shape) -> Result<Tensor> {
        match *shape.dims() {
            [n, c, h, w] => {
                let channels_last = Tensor::from_slice(self.values(), (n, h, w, c), &Device::Cpu)?;
                channels_last.permute((0, 3, 1, 2))?.contiguous()
            }
            _ => Tensor::from_slice(self.values(), shape, &Device::Cpu),
        }
    }
}
