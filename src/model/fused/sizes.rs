//! Sizes of maps, and offsets into them.

use std::ops::Range;

/// Sizes of a [`super::Map`].
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

    /// The same with that border.
    pub fn bordered(self, [before, after]: [usize; 2]) -> Self {
        Self { before, after, ..self }
    }

    /// As many images of one pixel, with that many channels.
    pub fn features(&self, channels: usize) -> Self {
        Self::new([self.n, 1, 1, channels])
    }

    /// Values from one row to the next.
    pub fn row(&self) -> usize {
        (self.before + self.w + self.after) * self.c
    }

    /// Values from one image to the next.
    pub fn image(&self) -> usize {
        (self.before + self.h + self.after) * self.row()
    }

    /// Offset of the first pixel of row `y` of image `n`.
    pub fn at(&self, n: usize, y: usize) -> usize {
        n * self.image() + (self.before + y) * self.row() + self.before * self.c
    }

    /// Pixels of an image.
    pub fn pixels(&self) -> usize {
        self.h * self.w
    }

    /// The sizes after pooling 2x2 windows, without border.
    pub fn pooled(&self) -> Self {
        Self::new([self.n, self.h / 2, self.w / 2, self.c])
    }

    /// All images cut into up to `rows` rows, in order: the image's number and its rows.
    pub fn cuts(&self, rows: usize) -> Vec<(usize, Range<usize>)> {
        let rows = rows.max(1);
        let cut = |first: usize| first..self.h.min(first + rows);
        (0..self.n).flat_map(|n| (0..self.h).step_by(rows).map(move |first| (n, cut(first)))).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.n * self.image()
    }
}
