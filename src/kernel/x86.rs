//! The vectors of x86-64: AVX-512, and AVX2 with FMA; f32.

use std::arch::x86_64::*;

use super::simd::{Simd, Square};

/// 512-bit vectors.
#[derive(Clone, Copy)]
pub struct Avx512;

impl Simd for Avx512 {
    type T = f32;
    type V = __m512;
    const LANES: usize = 16;
    const TILE: usize = 16;
    type Short = Avx2;

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m512 {
        _mm512_set1_ps(v)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        _mm512_loadu_ps(p)
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        _mm512_storeu_ps(p, v)
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> __m512 {
        _mm512_maskz_loadu_ps((1 << n) - 1, p)
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: __m512, n: usize) {
        _mm512_mask_storeu_ps(p, (1 << n) - 1, v)
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        _mm512_add_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        _mm512_sub_ps(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        _mm512_mul_ps(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        _mm512_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn gate(x: __m512, v: __m512) -> __m512 {
        _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(x, _mm512_setzero_ps()), v)
    }
    #[inline(always)]
    unsafe fn greater(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a);
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) | nan, y, x)
    }
}

/// 256-bit vectors.
#[derive(Clone, Copy)]
pub struct Avx2;

impl Avx2 {
    /// The mask of the first `n` elements.
    #[inline(always)]
    unsafe fn first(n: usize) -> __m256i {
        const MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        _mm256_loadu_si256(MASK.as_ptr().add(8 - n).cast())
    }
}

impl Simd for Avx2 {
    type T = f32;
    type V = __m256;
    const LANES: usize = 8;
    const TILE: usize = 8;
    type Short = Self;

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m256 {
        _mm256_set1_ps(v)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        _mm256_loadu_ps(p)
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        _mm256_storeu_ps(p, v)
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> __m256 {
        _mm256_maskload_ps(p, Self::first(n))
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: __m256, n: usize) {
        _mm256_maskstore_ps(p, Self::first(n), v)
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        _mm256_add_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        _mm256_sub_ps(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        _mm256_mul_ps(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        _mm256_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn gate(x: __m256, v: __m256) -> __m256 {
        _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(x, _mm256_setzero_ps()), v)
    }
    #[inline(always)]
    unsafe fn greater(a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
        let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a);
        _mm256_blendv_ps(y, x, _mm256_or_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, b), nan))
    }
}

impl Square for Avx2 {
    #[inline(always)]
    unsafe fn transpose(r: [__m256; 8]) -> [__m256; 8] {
        let above = four(pair(r[0], r[1]), pair(r[2], r[3]));
        let below = four(pair(r[4], r[5]), pair(r[6], r[7]));
        let mut columns = [_mm256_setzero_ps(); 8];
        for i in 0..4 {
            columns[i] = _mm256_permute2f128_ps::<0x20>(above[i], below[i]);
            columns[i + 4] = _mm256_permute2f128_ps::<0x31>(above[i], below[i]);
        }
        columns
    }
}

/// Columns 0 and 1, then 2 and 3, of two rows, in each half of the vectors.
#[inline(always)]
unsafe fn pair(a: __m256, b: __m256) -> [__m256; 2] {
    [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)]
}

/// Columns 0 to 3 of four rows, in each half of the vectors.
#[inline(always)]
unsafe fn four(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 4] {
    [
        _mm256_shuffle_ps::<0x44>(a[0], b[0]),
        _mm256_shuffle_ps::<0xee>(a[0], b[0]),
        _mm256_shuffle_ps::<0x44>(a[1], b[1]),
        _mm256_shuffle_ps::<0xee>(a[1], b[1]),
    ]
}
