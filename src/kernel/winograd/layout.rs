//! Where tiles lie in an image.

use std::ops::Range;

use crate::kernel::end;

/// Where the pixels of an image lie: that of row y and column x at `first + y·step + x·channels`.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// First value of the first tile.
    pub first: usize,
    /// To the next row of pixels.
    pub step: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

impl Layout {
    /// Where tile `tile` of `side` x `side` outputs, counted along the rows, begins.
    pub(super) fn tile(&self, side: usize, columns: usize, tile: usize) -> usize {
        self.first + side * (tile / columns) * self.step + side * (tile % columns) * self.channels
    }

    /// One past the last value of the last of `tiles`, whole rows of them, with `border` more rows and columns than it has
    /// outputs.
    pub(super) fn end(&self, side: usize, columns: usize, tiles: &Range<usize>, border: usize) -> usize {
        let (row, column) = ((tiles.end - 1) / columns, (tiles.end - 1) % columns);
        let pixels = |tile: usize| tile.saturating_mul(side).saturating_add(side + border);
        end(&[1, pixels(row) - 1, pixels(column)], &[self.first, self.step, self.channels])
    }

    /// Where each of `tiles` begins.
    pub(super) fn walk(&self, side: usize, columns: usize, tiles: &Range<usize>) -> Walk<'_> {
        let (tile, end) = (tiles.start, tiles.end);
        Walk { layout: self, side, columns, tile, end, column: tile % columns, begin: self.tile(side, columns, tile) }
    }
}

/// Tiles with their places: divisions are slow, so there is one per row of tiles.
pub(super) struct Walk<'a> {
    layout: &'a Layout,
    side: usize,
    columns: usize,
    tile: usize,
    end: usize,
    /// The tile's column, and where it begins.
    column: usize,
    begin: usize,
}

impl Iterator for Walk<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.tile == self.end {
            return None;
        }
        if self.column == self.columns {
            self.column = 0;
            self.begin = self.layout.tile(self.side, self.columns, self.tile);
        }
        let begin = self.begin;
        self.tile += 1;
        self.column += 1;
        self.begin += self.side * self.layout.channels;
        Some(begin)
    }
}
