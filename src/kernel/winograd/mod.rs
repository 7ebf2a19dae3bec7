//! Winograd's minimal filtering F(2x2, 3x3): a tile of 2x2 outputs of a 3x3 convolution in 16 multiplications
//! instead of 36 (Lavin & Gray, CVPR 2016, arXiv 1509.09308), and its two gradients.
//!
//! With the input tile d (4x4), kernel g (3x3) and output tile y (2x2):
//! y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, and dg = Gᵀ [(Bᵀ d B) ⊙ (A dy Aᵀ)] G. The products, summed over input channels or
//! over tiles, are 16 independent matrix products, one per position in the transformed tile.

mod convolve;
mod tiles;
mod weights;

use std::ops::Range;

use super::end;

pub use self::convolve::Convolve;
pub use self::weights::Weights;

/// Positions in a transformed tile.
pub const POINTS: usize = 16;

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
    /// Where tile `tile`, counted along the rows, begins.
    fn tile(&self, columns: usize, tile: usize) -> usize {
        self.first + 2 * (tile / columns) * self.step + 2 * (tile % columns) * self.channels
    }

    /// One past the last value of `side` x `side` pixels at the last of `tiles`, whole rows of them.
    fn end(&self, columns: usize, tiles: &Range<usize>, side: usize) -> usize {
        let (row, column) = ((tiles.end - 1) / columns, (tiles.end - 1) % columns);
        let pixels = |tile: usize, more: usize| tile.saturating_mul(2).saturating_add(more);
        end(&[1, pixels(row, side - 1), pixels(column, side)], &[self.first, self.step, self.channels])
    }
}

/// Tiles with their places: divisions are slow, so there is one per row of tiles.
struct Walk<'a> {
    layout: &'a Layout,
    columns: usize,
    tile: usize,
    end: usize,
    /// The tile's column, and where it begins.
    column: usize,
    begin: usize,
}

impl Layout {
    fn walk(&self, columns: usize, tiles: &Range<usize>) -> Walk<'_> {
        let (tile, end) = (tiles.start, tiles.end);
        Walk { layout: self, columns, tile, end, column: tile % columns, begin: self.tile(columns, tile) }
    }
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
            self.begin = self.layout.tile(self.columns, self.tile);
        }
        let begin = self.begin;
        self.tile += 1;
        self.column += 1;
        self.begin += 2 * self.layout.channels;
        Some(begin)
    }
}
