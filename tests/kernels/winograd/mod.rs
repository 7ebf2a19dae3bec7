//! Winograd's algorithm against the 3x3 convolution it computes, with both tile sizes.
//!
//! As for any sum, the error is bounded by the number of roundings times the magnitude of the terms, here that of the
//! transformed tiles: |Aᵀ| (|G| |g| |Gᵀ| ⊙ |Bᵀ| |d| |B|) |A| instead of Σ|g||d|. A term is rounded as often as
//! [`matrices::Matrices`] counts in the transforms of weights, input and output, once per input channel in the sum of
//! products, and once where it is added to the output. Where all |g| and all |d| are equal, those sizes are 64 times
//! their product for tiles of 2x2 outputs and 350 times, at the worst of its pixels 564 times, for 4x4, instead of 9: one
//! digit and not quite two digits less than a direct convolution, never more.

mod convolve;
mod matrices;
mod weights;
