//! Winograd's algorithm against the 3x3 convolution it computes, tiles of both sizes.
//!
//! Its error is bounded as any sum's is, by roundings times the sizes of what is added, but the sizes are those of the
//! transformed tiles: |Aᵀ| (|G| |g| |Gᵀ| ⊙ |Bᵀ| |d| |B|) |A| in place of Σ|g||d|. A term passes as many roundings as
//! [`matrices::Matrices`] counts in the transforms of weights, input and output, as many as there are input channels in
//! the products' sum, and one where it is added to something. Where all |g| and all |d| are equal, those sizes are 64 times
//! their product for tiles of 2x2 outputs and 350 times, at the worst of its pixels 564 times, for 4x4, instead of 9: one
//! digit and not quite two digits less than a direct convolution, never more.

mod convolve;
mod matrices;
mod weights;
