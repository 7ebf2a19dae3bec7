//! The vector operations the kernels use, and a portable implementation of them.

use super::Float;

/// Vectors of one instruction set over one number type.
///
/// # Safety
/// Functions may be called only where the instruction set exists ([`Float::dispatch`] ensures that), and pointers must be
/// valid for as many elements as the function reads or writes.
pub trait Simd: Copy + 'static {
    /// Element type.
    type T: Float;
    /// A vector.
    type V: Copy;
    /// Elements of a vector.
    const LANES: usize;
    /// Accumulators of a kernel's innermost loop that fit into registers.
    const TILE: usize;
    /// Shorter, cheaper vectors for the remainder after whole ones; `Self` where there are none.
    type Short: Square<T = Self::T>;

    /// All elements `v`.
    unsafe fn splat(v: Self::T) -> Self::V;
    /// Reads a vector.
    unsafe fn load(p: *const Self::T) -> Self::V;
    /// Writes a vector.
    unsafe fn store(p: *mut Self::T, v: Self::V);
    /// Reads `n` elements, `n` below [`Self::LANES`]; the others are zero.
    unsafe fn load_part(p: *const Self::T, n: usize) -> Self::V;
    /// Writes the first `n` elements, `n` below [`Self::LANES`].
    unsafe fn store_part(p: *mut Self::T, v: Self::V, n: usize);
    /// a + b
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// a - b
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// a · b
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// a · b + c
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `v` where `x` is positive or NaN, else 0: ReLU with `v` = `x`, its gradient with `v` = dL/dy.
    unsafe fn gate(x: Self::V, v: Self::V) -> Self::V;
    /// `x` where `a` is greater than `b` or NaN, else `y`. A running maximum thus keeps a NaN.
    unsafe fn greater(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;

    /// [`Self::load`], or the first `n` elements where `n` is not a whole vector.
    #[inline(always)]
    unsafe fn load_n(p: *const Self::T, n: usize) -> Self::V {
        if n >= Self::LANES { Self::load(p) } else { Self::load_part(p, n) }
    }

    /// [`Self::store`], or the first `n` elements where `n` is not a whole vector.
    #[inline(always)]
    unsafe fn store_n(p: *mut Self::T, v: Self::V, n: usize) {
        if n >= Self::LANES { Self::store(p, v) } else { Self::store_part(p, v, n) }
    }

    /// [`Self::load`] if `WHOLE`, else [`Self::load_part`]; decided at compile time, outside the loop.
    #[inline(always)]
    unsafe fn get<const WHOLE: bool>(p: *const Self::T, n: usize) -> Self::V {
        if WHOLE { Self::load(p) } else { Self::load_part(p, n) }
    }

    /// [`Self::store`] if `WHOLE`, else [`Self::store_part`].
    #[inline(always)]
    unsafe fn put<const WHOLE: bool>(p: *mut Self::T, v: Self::V, n: usize) {
        if WHOLE { Self::store(p, v) } else { Self::store_part(p, v, n) }
    }

    /// Whether a remainder of `n` elements is better left to [`Self::Short`].
    #[inline(always)]
    fn is_short(n: usize) -> bool {
        n <= Self::Short::LANES && Self::Short::LANES < Self::LANES
    }

    /// Vectors to take next from `n` remaining elements, at most `most`: the whole ones, and one for a remainder that is not
    /// [short](Self::is_short). 0 where only a short remainder is left.
    #[inline(always)]
    fn vectors(n: usize, most: usize) -> usize {
        let rest = n % Self::LANES;
        let whole = n / Self::LANES + usize::from(rest > 0 && !Self::is_short(rest));
        whole.min(most)
    }

    /// Sum of the elements.
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> Self::T {
        let mut lanes = [Self::T::ZERO; 16];
        Self::store(lanes.as_mut_ptr(), v);
        lanes[..Self::LANES].iter().fold(Self::T::ZERO, |sum, &v| sum + v)
    }
}

/// Vectors of eight elements, eight of which can be transposed.
pub trait Square: Simd {
    /// Element i of vector j becomes element j of vector i.
    ///
    /// # Safety
    /// As for [`Simd`].
    unsafe fn transpose(rows: [Self::V; 8]) -> [Self::V; 8];
}

/// Arrays, which the compiler maps to the vectors of its target.
#[derive(Clone, Copy)]
pub struct Portable<T>(std::marker::PhantomData<T>);

/// Elements of a portable vector: for f32, two of the 128-bit vectors that every x86-64 and ARM64 processor has.
const PORTABLE: usize = 8;

#[inline(always)]
fn zip<T: Float>(a: [T; PORTABLE], b: [T; PORTABLE], f: impl Fn(T, T) -> T) -> [T; PORTABLE] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl<T: Float> Simd for Portable<T> {
    type T = T;
    type V = [T; PORTABLE];
    const LANES: usize = PORTABLE;
    const TILE: usize = 4;
    type Short = Self;

    #[inline(always)]
    unsafe fn splat(v: T) -> Self::V {
        [v; PORTABLE]
    }
    #[inline(always)]
    unsafe fn load(p: *const T) -> Self::V {
        p.cast::<Self::V>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store(p: *mut T, v: Self::V) {
        p.cast::<Self::V>().write_unaligned(v);
    }
    #[inline(always)]
    unsafe fn load_part(p: *const T, n: usize) -> Self::V {
        let mut v = [T::ZERO; PORTABLE];
        std::ptr::copy_nonoverlapping(p, v.as_mut_ptr(), n);
        v
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut T, v: Self::V, n: usize) {
        std::ptr::copy_nonoverlapping(v.as_ptr(), p, n);
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Not `mul_add`: without the instruction, it calls the C library for every element.
        Self::add(Self::mul(a, b), c)
    }
    #[inline(always)]
    unsafe fn gate(x: Self::V, v: Self::V) -> Self::V {
        zip(x, v, |x, v| if x <= T::ZERO { T::ZERO } else { v })
    }
    #[inline(always)]
    unsafe fn greater(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] || a[i].is_nan() { x[i] } else { y[i] })
    }
}

impl<T: Float> Square for Portable<T> {
    #[inline(always)]
    unsafe fn transpose(rows: [Self::V; 8]) -> [Self::V; 8] {
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }
}
