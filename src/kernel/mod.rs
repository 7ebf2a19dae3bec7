//! Kernels for the CPU on plain slices, activations channels last: no tensors, no graph, no allocation.
//!
//! Each kernel is written once, over [`Simd`], and compiled for every instruction set; [`Float::dispatch`] picks the
//! best one the machine has, so one binary is fast everywhere. Within a kernel the order of additions depends on shapes
//! and instruction set alone, never on threads.

// Kernels are made of intrinsics throughout; marking each would hide what the safety comments are about: the bounds.
#![allow(unsafe_op_in_unsafe_fn)]
// The safety requirements are documented once, at the trait `Kernel`.
#![allow(clippy::missing_safety_doc, clippy::too_many_arguments)]
// Loops over a tile and in-place updates follow the formulas.
#![allow(clippy::needless_range_loop, clippy::assign_op_pattern)]

pub mod contract;
pub mod dot;
pub mod norm;
pub mod outer;
pub mod pooled;
pub mod rows;
pub mod simd;
mod tensor;
pub mod transpose;
pub mod update;
pub mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::{Add, AddAssign, Mul, Sub};
use std::sync::atomic::{AtomicU8, Ordering};

use candle_core::{CpuStorage, Result, WithDType, bail};

pub use simd::{Portable, Simd, Square};
pub use tensor::{with_optional_values, with_values, with_values_mut};

/// A kernel with its operands. `run` must be `#[inline(always)]`, so that it is compiled for the instruction set of `S`.
pub trait Kernel<T: Float>: Sized {
    /// Checks the bounds that make the pointers in [`Self::run`] valid.
    ///
    /// # Panics
    /// If the kernel would read or write beyond an operand, or their sizes disagree.
    fn check(&self);

    /// Computes, unchecked.
    ///
    /// # Safety
    /// The instruction set of `S` must exist, and [`Self::check`] must have returned.
    unsafe fn run<S: Simd<T = T>>(self);

    /// Computes with the best instruction set the machine has.
    ///
    /// # Panics
    /// If the kernel would read or write beyond an operand, or their sizes disagree.
    fn compute(self) {
        self.check();
        // SAFETY: `check` has just returned.
        unsafe { T::dispatch(self) }
    }
}

/// Σ counts · steps, the end of an operand with these strides. Saturates instead of overflowing, so that absurd sizes
/// fail the check.
fn end(counts: &[usize], steps: &[usize]) -> usize {
    let ways = counts.iter().zip(steps).map(|(count, step)| count.saturating_mul(*step));
    ways.fold(0, usize::saturating_add)
}

/// The number types the kernels are written for; f64, which only tests use, has portable vectors.
pub trait Float:
    WithDType + Copy + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + AddAssign
{
    /// 0.
    const ZERO: Self;
    /// Whether this is NaN.
    fn is_nan(self) -> bool;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The values in `storage`.
    ///
    /// # Errors
    /// The storage is of another number type.
    fn storage_mut(storage: &mut CpuStorage) -> Result<&mut [Self]>;
    /// Runs a kernel with the best instruction set the machine has.
    ///
    /// # Safety
    /// [`Kernel::check`] must have returned.
    unsafe fn dispatch<K: Kernel<Self>>(kernel: K);
}

/// Instruction sets, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Isa {
    /// AVX-512F.
    Avx512 = 1,
    /// AVX2 with FMA.
    Avx2 = 2,
    /// What the compiler assumes of every processor of the target.
    Portable = 3,
}

impl Isa {
    /// All of them, best first.
    pub const ALL: [Isa; 3] = [Isa::Avx512, Isa::Avx2, Isa::Portable];

    /// Whether this machine has it.
    pub fn exists(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512vl")
                    && Isa::Avx2.exists()
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx512 | Isa::Avx2 => false,
            Isa::Portable => true,
        }
    }

    /// The one in use: [`Self::best`], unless another was [forced](Self::force).
    pub fn current() -> Self {
        let current = CURRENT.load(Ordering::Relaxed);
        Self::ALL.into_iter().find(|isa| *isa as u8 == current).unwrap_or_else(|| {
            let best = Self::best();
            CURRENT.store(best as u8, Ordering::Relaxed);
            best
        })
    }

    /// The best one this machine has.
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|isa| isa.exists()).unwrap_or(Isa::Portable)
    }

    /// Uses this one from now on, in the whole process, if the machine has it; returns whether it does. For tests and
    /// measurements.
    pub fn force(self) -> bool {
        if self.exists() {
            CURRENT.store(self as u8, Ordering::Relaxed);
        }
        self.exists()
    }
}

/// The instruction set in use; 0 until it is first asked for.
static CURRENT: AtomicU8 = AtomicU8::new(0);

impl Float for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn storage_mut(storage: &mut CpuStorage) -> Result<&mut [f32]> {
        match storage {
            CpuStorage::F32(values) => Ok(values),
            _ => bail!("expected f32"),
        }
    }

    unsafe fn dispatch<K: Kernel<f32>>(kernel: K) {
        // SAFETY: `current` only ever is an instruction set that was found to exist; the caller has checked the bounds.
        match Isa::current() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => on_avx512(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => on_avx2(kernel),
            _ => kernel.run::<Portable<f32>>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn on_avx512<K: Kernel<f32>>(kernel: K) {
    kernel.run::<x86::Avx512>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn on_avx2<K: Kernel<f32>>(kernel: K) {
    kernel.run::<x86::Avx2>();
}

impl Float for f64 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn storage_mut(storage: &mut CpuStorage) -> Result<&mut [f64]> {
        match storage {
            CpuStorage::F64(values) => Ok(values),
            _ => bail!("expected f64"),
        }
    }

    unsafe fn dispatch<K: Kernel<f64>>(kernel: K) {
        // SAFETY: portable vectors exist everywhere; the caller has checked the bounds.
        kernel.run::<Portable<f64>>();
    }
}
