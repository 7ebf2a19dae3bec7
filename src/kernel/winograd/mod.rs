//! Winograd's minimal filtering F(m x m, 3x3): a tile of m x m outputs of a 3x3 convolution in (m + 2)² multiplications
//! instead of 9 m² (Lavin & Gray, CVPR 2016, arXiv 1509.09308), and its two gradients.
//!
//! With the input tile d ((m + 2) x (m + 2)), kernel g (3x3) and output tile y (m x m):
//! y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, and dg = Gᵀ [(Bᵀ d B) ⊙ (A dy Aᵀ)] G. The products, summed over input channels or
//! over tiles, are (m + 2)² independent matrix products, one per position in the transformed tile.

mod convolve;
mod filtering;
mod layout;
mod tiles;
mod weights;

use filtering::{F2, F4, Filtering};

pub use convolve::Convolve;
pub use layout::Layout;
pub use weights::Weights;

/// Tile sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tile {
    /// F(2x2, 3x3): 16 multiplications instead of 36.
    F2,
    /// F(4x4, 3x3): 36 multiplications instead of 144. Its rounding error is some three times larger.
    F4,
}

impl Tile {
    /// All of them.
    pub const ALL: [Tile; 2] = [Tile::F2, Tile::F4];

    /// Rows and columns of outputs.
    pub fn outputs(self) -> usize {
        match self {
            Tile::F2 => F2::OUT,
            Tile::F4 => F4::OUT,
        }
    }

    /// Rows and columns of inputs.
    pub fn inputs(self) -> usize {
        self.outputs() + 2
    }

    /// Positions in a transformed tile.
    pub fn points(self) -> usize {
        self.inputs() * self.inputs()
    }
}

/// Stride between points of `len` values each: one cache line more, since with strides that are powers of two all points
/// would compete for a few cache sets.
fn point_step(len: usize) -> usize {
    len.saturating_add(16)
}
