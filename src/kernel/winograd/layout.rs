//! Where tiles lie in an image.

use std::ops::Range;

use crate::kernel::end;

/// Where the pixels of an image are: row y, column x at `first + y·step + x·channels`.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Offset of the first tile.
    pub first: usize,
    /// Row stride.
    pub step: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

impl Layout {
    /// Offset of tile number `tile`, counted along rows of `columns` tiles of `side` x `side` outputs.
    pub(super) fn tile(&self, side: usize, columns: usize, tile: usize) -> usize {
        self.first + side * (tile / columns) * self.step + side * (tile % columns) * self.channels
    }

    /// One past the last value of `tiles`, whole rows of them, each with `border` more rows and columns than outputs.
    pub(super) fn end(&self, side: usize, columns: usize, tiles: &Range<usize>, border: usize) -> usize {
        let (row, column) = ((tiles.end - 1) / columns, (tiles.end - 1) % columns);
        let pixels = |tile: usize| tile.saturating_mul(side).saturating_add(side + border);
        end(&[1, pixels(row) - 1, pixels(column)], &[self.first, self.step, self.channels])
    }

    /// The offset of each of `tiles`.
    pub(super) fn walk(&self, side: usize, columns: usize, tiles: &Range<usize>) -> Walk<'_> {
        let (tile, end) = (tiles.start, tiles.end);
        Walk { layout: self, side, columns, tile, end, column: tile % columns, begin: self.tile(side, columns, tile) }
    }
}

/// The offsets of consecutive tiles, with one division per row of tiles, since divisions are slow.
pub(super) struct Walk<'a> {
    layout: &'a Layout,
    side: usize,
    columns: usize,
    tile: usize,
    end: usize,
    /// The tile's column.
    column: usize,
    /// The tile's offset.
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
