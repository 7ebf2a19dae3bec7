//! Activations channels last, with room for a border of zeros, in buffers that are used again.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex};

use candle_core::{Device, Result, Tensor, bail};

use super::parallel::{Work, parallel};
use crate::kernel::transpose::Transpose;
use crate::kernel::{Float, Kernel, with_values};

/// What the passes of a network share: buffers waiting for their next use (a step takes and frees the same ones over and
/// over), and the choice of algorithm.
#[derive(Debug)]
pub struct Workspace<T> {
    /// By length.
    waiting: Mutex<HashMap<usize, Vec<Vec<T>>>>,
    /// Whether convolutions may use Winograd's algorithm where it is faster.
    pub winograd: bool,
}

impl<T: Float> Workspace<T> {
    /// One without any buffers.
    pub fn new(winograd: bool) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), winograd })
    }

    /// `len` values of no particular kind.
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer<T> {
        let waiting = self.lock().get_mut(&len).and_then(Vec::pop);
        Buffer { values: waiting.unwrap_or_else(|| vec![T::ZERO; len]), home: self.clone() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Vec<Vec<T>>>> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Values that return to their workspace when dropped.
#[derive(Debug)]
pub struct Buffer<T: Float> {
    values: Vec<T>,
    home: Arc<Workspace<T>>,
}

impl<T: Float> Buffer<T> {
    /// Where it comes from.
    pub fn workspace(&self) -> &Arc<Workspace<T>> {
        &self.home
    }
}

impl<T: Float> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T: Float> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

impl<T: Float> Drop for Buffer<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.home.lock().entry(values.len()).or_default().push(values);
    }
}

/// Sizes of a [`Map`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Images.
    pub n: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Zeros above and left of each image.
    pub before: usize,
    /// Zeros below and right of it.
    pub after: usize,
}

impl Sizes {
    /// Without a border.
    pub fn new([n, h, w, c]: [usize; 4]) -> Self {
        Self { n, h, w, c, before: 0, after: 0 }
    }

    /// The same with such a border.
    pub fn bordered(self, [before, after]: [usize; 2]) -> Self {
        Self { before, after, ..self }
    }

    /// As many images of one pixel, with that many channels.
    pub fn features(&self, channels: usize) -> Self {
        Self::new([self.n, 1, 1, channels])
    }

    /// From one row to the next.
    pub fn row(&self) -> usize {
        (self.before + self.w + self.after) * self.c
    }

    /// From one image to the next.
    pub fn image(&self) -> usize {
        (self.before + self.h + self.after) * self.row()
    }

    /// Where the first pixel of row `y` of image `n` lies.
    pub fn at(&self, n: usize, y: usize) -> usize {
        n * self.image() + (self.before + y) * self.row() + self.before * self.c
    }

    /// Pixels of an image.
    pub fn pixels(&self) -> usize {
        self.h * self.w
    }

    /// What the maxima of 2x2 windows leave, without border.
    pub fn pooled(&self) -> Self {
        Self::new([self.n, self.h / 2, self.w / 2, self.c])
    }

    /// All images cut into up to `rows` rows, in order: the image's number and its rows.
    pub fn cuts(&self, rows: usize) -> Vec<(usize, Range<usize>)> {
        let rows = rows.max(1);
        let cut = |first: usize| first..self.h.min(first + rows);
        (0..self.n).flat_map(|n| (0..self.h).step_by(rows).map(move |first| (n, cut(first)))).collect()
    }

    fn len(&self) -> usize {
        self.n * self.image()
    }
}

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
    /// A map of no particular values, to be overwritten entirely, border included.
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
        let mut rest = &mut self.buffer.values[..];
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

    /// The same activations with such a border.
    pub fn with_border(self, border: [usize; 2]) -> Self {
        match [self.sizes.before, self.sizes.after] == border {
            true => self,
            false => self.bordered(border),
        }
    }

    /// A copy with such a border.
    pub fn bordered(&self, border: [usize; 2]) -> Self {
        let mut map = Self::new(self.sizes.bordered(border), &self.buffer.home);
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
}
