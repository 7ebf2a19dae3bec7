//! Random numbers, sums with error bounds, and the choice of instruction set.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use mbn::kernel::Isa;
use mbn::model::units::Number;
use mbn::rng;

/// A kernel's number type.
pub trait Real: Number {
    /// Unit roundoff: the largest relative error of one operation.
    const UNIT: f64;
}

impl Real for f32 {
    const UNIT: f64 = f32::EPSILON as f64 / 2.0;
}

impl Real for f64 {
    const UNIT: f64 = f64::EPSILON / 2.0;
}

/// Standard normal values.
pub fn random<T: Real>(name: &str, len: usize) -> Vec<T> {
    let mut stream = rng::stream(11, name);
    (0..len).map(|_| T::from_f64(stream.normal())).collect()
}

/// Multiples of 1/4 between -2 and 2, for which a few operations are exact in every number type.
pub fn quarters<T: Real>(name: &str, len: usize) -> Vec<T> {
    let mut stream = rng::stream(12, name);
    (0..len).map(|_| T::from_f64(stream.below(17) as f64 / 4.0 - 2.0)).collect()
}

pub fn wide<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

/// A sum in f64, with the data of its error bound.
///
/// Computed in another precision in any order, fused or not, its error is at most γ(k) Σ|terms|, γ(k) = k u / (1 - k u),
/// where each term undergoes k roundings (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1): its own
/// product and one addition per other term.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    pub value: f64,
    /// Σ|terms|
    pub size: f64,
    /// Roundings.
    pub roundings: usize,
}

impl Sum {
    /// An initial value.
    pub fn exactly<T: Real>(value: &T) -> Self {
        Self { value: value.to_f64(), size: value.to_f64().abs(), roundings: 0 }
    }

    /// Adds a product.
    pub fn add(&mut self, term: f64) {
        // The first term's product, and an addition for each.
        let roundings = self.roundings.max(1) + 1;
        *self = Self { value: self.value + term, size: self.size + term.abs(), roundings };
    }

    /// A few terms with that many roundings.
    pub fn of(terms: &[f64], roundings: usize) -> Self {
        Self { value: terms.iter().sum(), size: terms.iter().map(|t| t.abs()).sum(), roundings }
    }

    /// The error bound for a result of type `T`, including the error of the reference.
    fn tolerance<T: Real>(&self) -> f64 {
        let unit = (T::UNIT + f64::UNIT) * self.roundings as f64;
        unit / (1.0 - unit) * self.size
    }
}

/// Demands that values computed in `T` equal those sums within their bounds.
pub fn assert_sums<T: Real>(what: &str, got: &[f64], want: &[Sum]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let (off, tolerance) = ((got - want.value).abs(), want.tolerance::<T>());
        let isa = Isa::current();
        assert!(off <= tolerance, "{what} on {isa:?}, {i}: {got} for {want:?}, off by {off:e}, allowed {tolerance:e}");
    }
}

/// The instruction set is global to the process: one test at a time may force it, and none while another compares bits.
static ISA: RwLock<()> = RwLock::new(());

/// Runs a test on every instruction set of this machine.
pub fn on_every_isa(test: impl Fn()) {
    let _alone = ISA.write().unwrap_or_else(PoisonError::into_inner);
    let _best_again = BestAgain;
    for isa in Isa::ALL.into_iter().filter(|isa| isa.force()) {
        assert_eq!(Isa::current(), isa);
        test();
    }
}

/// While the guard lives, no test forces another instruction set.
pub fn on_one_isa() -> RwLockReadGuard<'static, ()> {
    ISA.read().unwrap_or_else(PoisonError::into_inner)
}

struct BestAgain;

impl Drop for BestAgain {
    fn drop(&mut self) {
        Isa::best().force();
    }
}
