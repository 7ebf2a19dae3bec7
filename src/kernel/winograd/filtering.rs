//! The transforms of Winograd's algorithm, along one axis.

use candle_core::WithDType;

use crate::kernel::Simd;

/// The longest side of a transformed tile.
pub(super) const SIDE: usize = 6;

/// F(m, 3). Arrays have the longest length of all; elements beyond [`Self::IN`] or [`Self::OUT`] are not used.
pub(super) trait Filtering {
    /// Outputs, m.
    const OUT: usize;
    /// Inputs, m + 2.
    const IN: usize;

    /// G g
    unsafe fn weights<S: Simd>(g: [S::V; 3]) -> [S::V; SIDE];
    /// Bᵀ d
    unsafe fn input<S: Simd>(d: [S::V; SIDE]) -> [S::V; SIDE];
    /// Aᵀ m
    unsafe fn output<S: Simd>(m: [S::V; SIDE]) -> [S::V; SIDE];
}

/// `v` in every element.
#[inline(always)]
unsafe fn all<S: Simd>(v: f64) -> S::V {
    S::splat(S::T::from_f64(v))
}

/// F(2, 3), from the points 0, 1, -1 and infinity.
pub(super) struct F2;

impl Filtering for F2 {
    const OUT: usize = 2;
    const IN: usize = 4;

    #[inline(always)]
    unsafe fn weights<S: Simd>([a, b, c]: [S::V; 3]) -> [S::V; SIDE] {
        let half = all::<S>(0.5);
        let outer = S::mul(half, S::add(a, c));
        [a, S::fma(half, b, outer), S::sub(outer, S::mul(half, b)), c, c, c]
    }

    #[inline(always)]
    unsafe fn input<S: Simd>([a, b, c, d, ..]: [S::V; SIDE]) -> [S::V; SIDE] {
        [S::sub(a, c), S::add(b, c), S::sub(c, b), S::sub(b, d), d, d]
    }

    #[inline(always)]
    unsafe fn output<S: Simd>([a, b, c, d, ..]: [S::V; SIDE]) -> [S::V; SIDE] {
        [S::add(S::add(a, b), c), S::sub(S::sub(b, c), d), d, d, d, d]
    }
}

/// F(4, 3), from the points 0, ±P, ±Q and infinity. The usual ±1 and ±2 have twice the rounding error, most of it in the
/// last output, which contains the points' third powers (on the choice of points: Barabasz et al., arXiv 1803.10986).
pub(super) struct F4;

const P: f64 = 5.0 / 8.0;
const Q: f64 = 3.0 / 2.0;
const PP: f64 = P * P;
const QQ: f64 = Q * Q;

impl Filtering for F4 {
    const OUT: usize = 4;
    const IN: usize = 6;

    /// At a point x, (a + b x + c x²) / (2 x² (x² - the other's square)).
    #[inline(always)]
    unsafe fn weights<S: Simd>([a, b, c]: [S::V; 3]) -> [S::V; SIDE] {
        let twice = 2.0 * (PP - QQ);
        let outer = all::<S>(1.0 / twice);
        let p_even = S::fma(outer, c, S::mul(all::<S>(1.0 / (PP * twice)), a));
        let q_even = S::sub(S::mul(all::<S>(-1.0 / (QQ * twice)), a), S::mul(outer, c));
        let (p_odd, q_odd) = (S::mul(all::<S>(1.0 / (P * twice)), b), S::mul(all::<S>(-1.0 / (Q * twice)), b));
        let zero = S::mul(all::<S>(1.0 / (PP * QQ)), a);
        [zero, S::add(p_even, p_odd), S::sub(p_even, p_odd), S::add(q_even, q_odd), S::sub(q_even, q_odd), c]
    }

    #[inline(always)]
    unsafe fn input<S: Simd>([a, b, c, d, e, f]: [S::V; SIDE]) -> [S::V; SIDE] {
        let (product, sum) = (all::<S>(PP * QQ), all::<S>(-PP - QQ));
        let (p_even, p_odd) = (S::fma(all::<S>(-QQ), c, e), S::fma(all::<S>(-QQ), b, d));
        let (q_even, q_odd) = (S::fma(all::<S>(-PP), c, e), S::fma(all::<S>(-PP), b, d));
        [
            S::fma(product, a, S::fma(sum, c, e)),
            S::fma(all::<S>(P), p_odd, p_even),
            S::fma(all::<S>(-P), p_odd, p_even),
            S::fma(all::<S>(Q), q_odd, q_even),
            S::fma(all::<S>(-Q), q_odd, q_even),
            S::fma(product, b, S::fma(sum, d, f)),
        ]
    }

    #[inline(always)]
    unsafe fn output<S: Simd>([a, b, c, d, e, f]: [S::V; SIDE]) -> [S::V; SIDE] {
        let (p_even, p_odd, q_even, q_odd) = (S::add(b, c), S::sub(b, c), S::add(d, e), S::sub(d, e));
        [
            S::add(S::add(a, p_even), q_even),
            S::fma(all::<S>(Q), q_odd, S::mul(all::<S>(P), p_odd)),
            S::fma(all::<S>(QQ), q_even, S::mul(all::<S>(PP), p_even)),
            S::fma(all::<S>(QQ * Q), q_odd, S::fma(all::<S>(PP * P), p_odd, f)),
            f,
            f,
        ]
    }
}
